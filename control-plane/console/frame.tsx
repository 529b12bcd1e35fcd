/** The frame around every page: the menu, how live it is, and the red thing when somebody is needed. */
import { useEffect, useRef } from "preact/hooks";
import { useConsole } from "./data/console.ts";
import type { Person } from "./data/shapes.ts";
import { useStore } from "./data/store.ts";
import { Needs } from "./needs.tsx";
import { PAGES } from "./pages.tsx";
import { Logo } from "./pages/sign-in.tsx";
import { place, to } from "./router.ts";
import { useText } from "./text/text.ts";
import { Empty } from "./ui/parts.tsx";
import { Switches } from "./ui/switches.tsx";

export function Frame({ person }: { readonly person: Person }) {
  const own = useConsole();
  const text = useText();
  const { page: id, rest } = useStore(place);
  const paths = useStore(own.paths);
  const fleet = useStore(own.fleet.now, (now) => now?.fleet) ?? person.fleet;
  const main = useRef<HTMLElement>(null);
  const page = PAGES.find((one) => one.id === id);
  const [name] = rest;
  const key = `${id}/${name ?? ""}`;
  const first = useRef(key);
  useEffect(() => {
    const title = page === undefined ? text.common.unknownPage : (name ?? text.page[page.id]);
    document.title = `${title} · ${fleet ?? text.brand}`;
    // Whoever follows a link is told where they are; whoever just came is left alone.
    if (first.current === key) return;
    first.current = key;
    window.scrollTo(0, 0);
    main.current?.querySelector("h1")?.focus({ preventScroll: true });
  }, [key, text, fleet]);
  const current = page?.under ?? page?.id;
  return (
    <div class="frame">
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        {text.skip}
      </button>
      <header class="top">
        <a class="brand" href={to("fleet")}>
          <Logo /> <b>{fleet ?? text.brand}</b>
        </a>
        <Liveness />
        <div class="person">
          <Switches />
          <span class="who">{text.session.as(person.name, person.role)}</span>
          {person.dev ? (
            <span class="note tone-warn">{text.session.dev}</span>
          ) : (
            <button type="button" onClick={() => void own.signOut()}>
              {text.session.signOut}
            </button>
          )}
        </div>
      </header>
      <nav aria-label={text.menu}>
        <ul>
          {PAGES.filter(
            ({ under, needs }) => under === undefined && (paths.size === 0 || paths.has(needs)),
          ).map((one) => (
            <li key={one.id}>
              <a href={to(one.id)} aria-current={one.id === current ? "page" : undefined}>
                {text.page[one.id]}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <main id="main" ref={main} tabIndex={-1}>
        <Needs person={person} />
        {page === undefined ? (
          <Empty>{text.common.unknownPage}</Empty>
        ) : name !== undefined && page.one !== undefined ? (
          <page.one key={key} name={name} />
        ) : (
          <page.view key={page.id} />
        )}
      </main>
    </div>
  );
}

function Liveness() {
  const { fleet } = useConsole();
  const text = useText();
  const { state } = useStore(fleet.stream.state);
  return (
    <span class={`live ${state}`} role="status">
      <i aria-hidden="true" />
      {text.live[state]}
    </span>
  );
}
