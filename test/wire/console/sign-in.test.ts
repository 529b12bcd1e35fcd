/** Signing in at an identity provider from the console: a real browser, a real provider on loopback, and who tries it otherwise. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES } from "../../support/gateway.ts";
import { AUDIENCE, startIssuer, type TestIssuer } from "../../support/issuer.ts";
import { startBrowser, visit } from "./support.ts";

const FILES = { "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"] }), "routes.yaml": ROUTES };

async function stand(t: TestContext): Promise<{ issuer: TestIssuer; plane: TestControlPlane; url: string }> {
  const issuer = await startIssuer(t);
  const plane = await startControlPlane(t, FILES, [
    ...["--oidc-issuer", issuer.url, "--oidc-audience", AUDIENCE, "--oidc-role", "operator=sre"],
    ...["--oidc-client-id", "console"],
  ]);
  // Another site than the provider's, as it is outside of tests.
  return { issuer, plane, url: plane.url.replace("127.0.0.1", "localhost") };
}

test("who signs in at the provider is in the console by their name; who may not is told why", async (t) => {
  const [{ issuer, url }, browser] = await Promise.all([stand(t), startBrowser(t)]);
  const { page, context, complaints } = await visit(browser, { url });
  const way = page.getByRole("link", { name: `Sign in with ${new URL(issuer.url).host}` });

  issuer.denies = true;
  await way.click();
  await page.getByText("The identity provider did not sign you in.").waitFor();
  issuer.denies = false;
  issuer.idClaims = { groups: ["guests"] };
  await way.click();
  await page.getByText("You have no role here").waitFor();
  issuer.idClaims = {};
  await way.click();
  await page.getByText("alice@example.com (operator)").waitFor();
  assert.equal(new URL(page.url()).search, "", "nothing of it stays in the address");
  const cookies = (await context.cookies()).map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite]);
  assert.deepEqual(cookies, [["tidegate-session", true, "Strict"]], "and nothing else in the browser");
  await page.getByRole("button", { name: "Sign out" }).click();
  await way.waitFor();
  assert.deepEqual(complaints, []);
});

const go = (url: string, cookie = ""): Promise<Response> =>
  fetch(url, { redirect: "manual", headers: cookie === "" ? {} : { cookie } });

/** Leaves for the provider, and stands before the way back. */
async function left(url: string): Promise<{ cookie: string; back: URL }> {
  const leaving = await go(`${url}/v1/session/sign-in`);
  assert.equal(leaving.status, 302);
  const set = leaving.headers.get("set-cookie")!;
  assert.match(set, /^tidegate-sign-in=.*; Max-Age=600; HttpOnly; SameSite=Lax$/);
  const asked = new URL(leaving.headers.get("location")!).searchParams;
  assert.deepEqual(
    ["response_type", "client_id", "scope", "code_challenge_method"].map((name) => asked.get(name)),
    ["code", "console", "openid email profile", "S256"],
  );
  const provider = await go(leaving.headers.get("location")!);
  return { cookie: set.split(";")[0]!, back: new URL(provider.headers.get("location")!) };
}

test("nobody comes back who did not leave, with what is somebody else's, or twice", async (t) => {
  const { issuer, url } = await stand(t);
  const refused = async (what: string, back: URL, cookie = ""): Promise<void> => {
    const answer = await go(back.href, cookie);
    assert.deepEqual([answer.status, answer.headers.get("location")], [302, "/?sign-in=failed"], what);
    assert.ok(!answer.headers.getSetCookie().some((set) => set.startsWith("tidegate-session")), what);
  };
  const own = await left(url);
  await refused("another browser", own.back);
  await refused("a cookie of somebody's making", own.back, "tidegate-sign-in=AAAA");
  const other = await left(url);
  await refused("somebody else's code, in this browser", other.back, own.cookie);
  const states = await left(url);
  states.back.searchParams.set("state", "made-up");
  await refused("another state", states.back, states.cookie);
  issuer.idClaims = { nonce: "made-up" };
  const nonces = await left(url);
  await refused("another nonce", nonces.back, nonces.cookie);
  issuer.idClaims = { aud: "another service" };
  const audiences = await left(url);
  await refused("another audience", audiences.back, audiences.cookie);
  issuer.idClaims = {};
  const good = await left(url);
  const answer = await go(good.back.href, good.cookie);
  assert.equal(answer.headers.get("location"), "/");
  const cookie = answer.headers.getSetCookie().find((set) => set.startsWith("tidegate-session"))!;
  const who = await fetch(`${url}/v1/session`, {
    headers: { cookie: cookie.split(";")[0]!, "x-tidegate-console": "1" },
  });
  assert.deepEqual([who.status, ((await who.json()) as { name: string }).name], [200, "alice@example.com"]);
  await refused("the same code again", good.back, good.cookie);
});

test("a provider that is away is said to be, and tokens of our own work on; without one there is no such way", async (t) => {
  const issuer = await startIssuer(t);
  issuer.mood = "broken";
  const plane = await startControlPlane(t, FILES, [
    ...["--oidc-issuer", issuer.url, "--oidc-audience", AUDIENCE, "--oidc-role", "operator=sre"],
    ...["--oidc-client-id", "console"],
  ]);
  const ways = await (await fetch(`${plane.url}/v1/session/ways`)).json();
  assert.deepEqual(ways, { provider: new URL(issuer.url).host });
  const answer = await go(`${plane.url}/v1/session/sign-in`);
  assert.equal(answer.headers.get("location"), "/?sign-in=away");
  issuer.mood = "well";
  await left(plane.url);
  const plain = await startControlPlane(t, FILES, []);
  assert.deepEqual(await (await fetch(`${plain.url}/v1/session/ways`)).json(), { provider: null });
  const none = await go(`${plain.url}/v1/session/sign-in`);
  assert.equal(none.headers.get("location"), "/?sign-in=failed");
});
