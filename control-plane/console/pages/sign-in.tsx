/** Who are you? */
import { useState } from "preact/hooks";
import { Problem } from "../data/api.ts";
import { useConsole } from "../data/console.ts";
import { useResource } from "../data/resource.ts";
import { useText } from "../text/text.ts";
import { Field } from "../ui/fields.tsx";
import { Switches } from "../ui/switches.tsx";

export function SignIn({ bare = false }: { readonly bare?: boolean }) {
  const own = useConsole();
  const text = useText();
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState<string | undefined>();
  const [sending, setSending] = useState(false);
  const { data: ways } = useResource<{ provider: string | null }>(bare ? undefined : "/v1/session/ways");
  const back = new URLSearchParams(window.location.search).get("sign-in");
  const refused = text.session.refused[back as keyof typeof text.session.refused];
  const send = async (): Promise<void> => {
    setSending(true);
    setProblem(undefined);
    try {
      await own.signIn(token.trim());
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error.message);
      setSending(false);
    }
  };
  const form = (
    <form
      class="sign-in"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <Field label={text.session.token} hint={text.session.tokenHint}>
        {(id) => (
          <input
            id={id}
            type="password"
            required
            autocomplete="current-password"
            spellcheck={false}
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        )}
      </Field>
      {problem !== undefined && (
        <div class="refusal" role="alert">
          {problem}
        </div>
      )}
      <button type="submit" class="primary" disabled={sending || token.trim() === ""}>
        {text.session.signIn}
      </button>
    </form>
  );
  // Somebody else's page comes in between, so what was typed here would be gone: not where a session is over.
  if (bare) return form;
  return (
    <main class="door">
      <div class="panel">
        <h1>
          <Logo /> {text.brand}
        </h1>
        {ways?.provider != null && (
          <p>
            <a class="button primary" href="/v1/session/sign-in">
              {text.session.provider(ways.provider)}
            </a>
          </p>
        )}
        {refused !== undefined && problem === undefined && (
          <div class="refusal" role="alert">
            {refused}
          </div>
        )}
        {form}
      </div>
      <Switches />
    </main>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <path d="M7 9h18M7 23c3 0 3-4 6-4s3 4 6 4 3-4 6-4M16 9v7" />
    </svg>
  );
}
