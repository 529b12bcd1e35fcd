/** Which identity provider is believed, and which of its groups has which role. */
import { isLoopback } from "../../host/loopback.ts";
import { ROLES, type Role } from "../tokens.ts";

export interface OidcFlags {
  readonly oidcIssuer?: string;
  readonly oidcAudience?: string;
  readonly oidcRoleClaim?: string;
  /** Each `ROLE=VALUE`. */
  readonly oidcRole?: readonly string[];
  readonly oidcClientId?: string;
  readonly oidcRedirectUrl?: string;
}

export interface OidcSettings {
  /** Exactly as the tokens' `iss`. */
  readonly issuer: string;
  readonly audience: string;
  readonly roleClaim: string;
  /** Value of the claim → role. */
  readonly roles: ReadonlyMap<string, Role>;
  /** As which the console is known to the issuer; undefined: nobody signs in there. */
  readonly clientId: string | undefined;
  /** Undefined: a public client, which proves itself by PKCE alone. */
  readonly clientSecret?: string | undefined;
  /** Undefined: as browsers call this control plane. */
  readonly redirectUrl: string | undefined;
}

export const DEFAULT_ROLE_CLAIM = "groups";

/** The settings, undefined where none are asked for, or what is wrong with them. */
export function oidcSettings(flags: OidcFlags): OidcSettings | undefined | string {
  const { oidcIssuer: issuer, oidcAudience: audience, oidcRoleClaim: claim, oidcRole = [] } = flags;
  if (issuer === undefined) {
    const others = [audience, claim, flags.oidcClientId, flags.oidcRedirectUrl];
    const orphan = others.some((one) => one !== undefined) || oidcRole.length > 0;
    return orphan ? "the other --oidc-… say nothing without --oidc-issuer" : undefined;
  }
  const url = URL.parse(issuer);
  if (url === null || !["https:", "http:"].includes(url.protocol) || url.search !== "" || url.hash !== "") {
    return `--oidc-issuer is ${issuer}; expected a URL such as https://login.example.com/realm`;
  }
  if (url.username !== "" || url.password !== "") return "--oidc-issuer must not have a password in it";
  if (!isSafe(url)) {
    return `--oidc-issuer is ${issuer}; expected https, since whoever is between could sign in as anybody`;
  }
  if (audience === undefined || audience === "") {
    return "--oidc-issuer needs --oidc-audience, or a token for any other service would do here";
  }
  if (oidcRole.length === 0) {
    return "--oidc-issuer needs at least one --oidc-role ROLE=VALUE, or nobody may do anything";
  }
  if (claim === "") return "--oidc-role-claim is empty; expected a claim's name such as groups";
  const roles = new Map<string, Role>();
  for (const text of oidcRole) {
    const wrong = addRole(roles, text);
    if (wrong !== undefined) return wrong;
  }
  const { oidcClientId: clientId, oidcRedirectUrl: redirectUrl } = flags;
  const wrong = wrongRedirect(clientId, redirectUrl);
  if (wrong !== undefined) return wrong;
  return { issuer, audience, roleClaim: claim ?? DEFAULT_ROLE_CLAIM, roles, clientId, redirectUrl };
}

function wrongRedirect(clientId: string | undefined, redirectUrl: string | undefined): string | undefined {
  if (clientId === "")
    return "--oidc-client-id is empty; expected the name that the issuer has for the console";
  if (redirectUrl === undefined) return undefined;
  if (clientId === undefined) return "--oidc-redirect-url says nothing without --oidc-client-id";
  const url = URL.parse(redirectUrl);
  if (url?.pathname === CALLBACK && url.search === "" && isSafe(url)) return undefined;
  return `--oidc-redirect-url is ${redirectUrl}; expected https://HOST${CALLBACK}, as it is registered with the issuer`;
}

/** Path to which the issuer sends browsers back. */
export const CALLBACK = "/v1/session/callback";

/** Keys may be fetched from there: nobody between can put their own in. */
export function isSafe(url: URL): boolean {
  return url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname));
}

/** @returns what is wrong */
function addRole(roles: Map<string, Role>, text: string): string | undefined {
  // The value of a directory's group may have further equal signs and commas: CN=sre,OU=people.
  const [, name, value] = /^([^=]*)=(.+)$/s.exec(text) ?? [];
  const role = ROLES.find((r) => r === name);
  if (name === "gateway") {
    return `--oidc-role is ${text}; people are not gateways, which have tokens or certificates of their own`;
  }
  if (role === undefined || value === undefined) {
    return `--oidc-role is ${text}; expected ROLE=VALUE such as operator=sre, with a role of ${ROLES.join(", ")}`;
  }
  const before = roles.get(value);
  if (before !== undefined && before !== role) {
    return `--oidc-role gives ${value} two roles, ${before} and ${role}; expected one`;
  }
  roles.set(value, role);
  return undefined;
}
