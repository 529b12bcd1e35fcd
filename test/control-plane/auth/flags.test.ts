/** Options of the control plane that would let somebody in who should not be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ListenerFlags, wrongListener } from "../../../control-plane/auth/listener-flags.ts";
import { type OidcFlags, oidcSettings } from "../../../control-plane/auth/oidc-settings.ts";

const GOOD = {
  oidcIssuer: "https://login.example.com/realm",
  oidcAudience: "tidegate",
  oidcRole: ["admin=x"],
};

test("an identity provider is taken whole or not at all", () => {
  const wrong: [OidcFlags, RegExp][] = [
    [{ oidcAudience: "a" }, /say nothing without --oidc-issuer/],
    [{ oidcRole: ["admin=x"] }, /say nothing without --oidc-issuer/],
    [{ oidcRoleClaim: "groups" }, /say nothing without --oidc-issuer/],
    [{ ...GOOD, oidcIssuer: "login.example.com" }, /expected a URL/],
    [{ ...GOOD, oidcIssuer: "https://login.example.com/?a=b" }, /expected a URL/],
    [{ ...GOOD, oidcIssuer: "http://login.example.com" }, /expected https/],
    [{ ...GOOD, oidcIssuer: "http://127.0.0.1.example.com" }, /expected https/],
    [{ ...GOOD, oidcIssuer: "https://a:b@login.example.com" }, /must not have a password/],
    [{ oidcIssuer: GOOD.oidcIssuer, oidcRole: GOOD.oidcRole }, /needs --oidc-audience/],
    [{ ...GOOD, oidcRole: [] }, /at least one --oidc-role/],
    [{ ...GOOD, oidcRole: ["root=y"] }, /with a role of viewer, operator, approver, admin/],
    [{ ...GOOD, oidcRole: ["admin"] }, /expected ROLE=VALUE/],
    [{ ...GOOD, oidcRole: ["admin="] }, /expected ROLE=VALUE/],
    [{ ...GOOD, oidcRole: ["gateway=y"] }, /people are not gateways/],
    [{ ...GOOD, oidcRole: ["admin=x", "viewer=x"] }, /gives x two roles, admin and viewer/],
    [{ ...GOOD, oidcRoleClaim: "" }, /claim is empty/],
    [{ oidcClientId: "console" }, /say nothing without --oidc-issuer/],
    [{ ...GOOD, oidcClientId: "" }, /client-id is empty/],
    [{ ...GOOD, oidcRedirectUrl: "https://a/v1/session/callback" }, /says nothing without --oidc-client-id/],
    [
      { ...GOOD, oidcClientId: "c", oidcRedirectUrl: "https://a/" },
      /expected https:\/\/HOST\/v1\/session\/callback/,
    ],
    [{ ...GOOD, oidcClientId: "c", oidcRedirectUrl: "http://a/v1/session/callback" }, /expected https/],
  ];
  for (const [flags, words] of wrong) assert.match(String(oidcSettings(flags)), words);
  assert.equal(oidcSettings({}), undefined);
  const roles = ["admin=CN=platform,OU=admins", "operator=sre", "operator=oncall"];
  assert.deepEqual(oidcSettings({ ...GOOD, oidcRole: roles }), {
    issuer: GOOD.oidcIssuer,
    audience: "tidegate",
    roleClaim: "groups",
    clientId: undefined,
    redirectUrl: undefined,
    roles: new Map([
      ["CN=platform,OU=admins", "admin"],
      ["sre", "operator"],
      ["oncall", "operator"],
    ]),
  });
  for (const oidcIssuer of ["http://127.0.0.1:8080/realm", "http://localhost:1", "http://[::1]:1"]) {
    assert.equal(typeof oidcSettings({ ...GOOD, oidcIssuer }), "object", oidcIssuer);
  }
});

test("the API listens on loopback, with TLS, or where somebody said out loud that it goes without", () => {
  const tls = { tlsCert: "a", tlsKey: "b" };
  const wrong: [ListenerFlags, RegExp][] = [
    [{ host: "0.0.0.0" }, /tokens would travel in the clear/],
    [{ host: "::" }, /tokens would travel in the clear/],
    [{ host: "10.0.0.5" }, /tokens would travel in the clear/],
    [{ host: "127.0.0.1.example.com" }, /tokens would travel in the clear/],
    [{ host: "0.0.0.0", dev: true }, /--dev asks for no token/],
    [{ host: "0.0.0.0", dev: true, insecureHttp: true }, /--dev asks for no token/],
    [{ host: "0.0.0.0", dev: true, ...tls }, /--dev asks for no token/],
    [{ host: "127.0.0.1", tlsCert: "a" }, /go together/],
    [{ host: "127.0.0.1", tlsKey: "a" }, /go together/],
    [{ host: "127.0.0.1", tlsClientCa: "a" }, /--tls-client-ca needs --tls-cert/],
    [{ host: "0.0.0.0", insecureHttp: true, ...tls }, /say opposite things/],
  ];
  for (const [flags, words] of wrong) assert.match(wrongListener(flags) ?? "", words);
  const right: ListenerFlags[] = [
    ...["127.0.0.1", "127.8.9.1", "::1", "localhost"].map((host) => ({ host })),
    { host: "127.0.0.1", dev: true },
    { host: "0.0.0.0", ...tls },
    { host: "0.0.0.0", ...tls, tlsClientCa: "c" },
    { host: "0.0.0.0", insecureHttp: true },
  ];
  for (const flags of right) assert.equal(wrongListener(flags), undefined, JSON.stringify(flags));
});
