/** `fromSupabase` with the real library against a stub of its auth server, and the real client against the fake server. */
import { expect, onTestFinished, test } from "vitest";
import { createClient, type RealtimeError } from "../src/index.js";
import { fromSupabase, type SupabaseAnswer, type SupabaseLike } from "../src/supabase.js";
import { createFakeServer } from "../src/testing/index.js";
import { AuthServer, named } from "./supabase-auth.js";

const as = (user: string) => ({ email: `${user}@example.com`, password: "secret" });

function realtime() {
  const server = createFakeServer({ user: (token) => ({ id: named(token)?.split(" ")[0] ?? "" }) });
  const client = createClient({
    url: server.url,
    WebSocket: server.WebSocket,
    backoff: { initialMs: 1, maxMs: 2, attempts: 0 },
  });
  const errors: RealtimeError[] = [];
  client.on("error", (error) => errors.push(error));
  onTestFinished(() => client.disconnect());
  /** Whose tokens came, by `connect` and `auth`. */
  const came = () =>
    server.received
      .filter(({ type }) => type === "connect" || type === "auth")
      .map(({ type, payload }) => `${type} ${named((payload as { token?: string }).token)}`);
  return { server, client, errors, came };
}

test("a client is connected as who is signed in; a refreshed token is handed over on the live connection", async () => {
  const auth = await AuthServer.start();
  const supabase = auth.client();
  await supabase.auth.signInWithPassword(as("ann"));
  const { client, came } = realtime();
  await client.connect(fromSupabase(supabase));
  expect(client.state).toMatchObject({ status: "connected", userId: "ann" });
  const { clientId } = client;
  await supabase.auth.refreshSession();
  await expect.poll(came).toEqual(["connect ann 1", "auth ann 2"]);
  expect(client.clientId).toBe(clientId);
  expect(fromSupabase(supabase)).toBe(fromSupabase(supabase));
});

test("a session that ends within a minute is refreshed before it is used, and once is enough", async () => {
  const auth = await AuthServer.start();
  const supabase = auth.client();
  auth.lifetime = 30;
  await supabase.auth.signInWithPassword(as("ann"));
  auth.lifetime = 3_600;
  const provider = fromSupabase(supabase);
  expect(named(await provider())).toBe("ann 2");
  expect(named(await provider())).toBe("ann 2");
  expect(auth.given).toEqual(["ann 1", "ann 2"]);
});

test("a library that doesn't refresh by itself is asked to; what is left is used where that fails, and nothing that has ended", async () => {
  let refreshes = 0;
  const ends = (seconds: number): SupabaseLike => ({
    auth: {
      getSession: () => answer("old", Date.now() / 1_000 + seconds),
      refreshSession: () => {
        refreshes += 1;
        return Promise.resolve({ data: { session: null }, error: new Error("the network is away") });
      },
      onAuthStateChange: () => ({ data: { subscription: { unsubscribe() {} } } }),
    },
  });
  const answer = (access_token: string, expires_at: number): SupabaseAnswer =>
    Promise.resolve({ data: { session: { access_token, expires_at, user: { id: "ann" } } }, error: null });
  expect(await fromSupabase(ends(61))()).toBe("old");
  expect(refreshes).toBe(0);
  expect(await fromSupabase(ends(59))()).toBe("old");
  expect(refreshes).toBe(1);
  await expect(fromSupabase(ends(-1))()).rejects.toThrow("the network is away");
  expect(refreshes).toBe(2);
});

test("on a device whose clock is fast a question costs the refresh that the library makes, and no more", async () => {
  const real = Date.now;
  onTestFinished(() => {
    Date.now = real;
  });
  for (const [lifetime, fastBy] of [
    [3_600, 7_200],
    // The clock says that half a minute is left.
    [300, 270],
  ] as const) {
    const auth = await AuthServer.start();
    auth.lifetime = lifetime;
    auth.now = real;
    Date.now = () => real() + fastBy * 1_000;
    const supabase = auth.client();
    await supabase.auth.signInWithPassword(as("ann"));
    const provider = fromSupabase(supabase);
    // How often the library refreshes for one question of its own.
    await provider();
    const before = auth.given.length;
    await supabase.auth.getSession();
    expect(auth.given.length - before).toBe(1);
    for (let n = 1; n <= 5; n += 1) {
      expect(named(await provider())).toBe(auth.given.at(-1));
      expect(auth.given.length - before).toBe(1 + n);
    }
    Date.now = real;
  }
});

test("nobody, ann, nobody, bob: anonymous, upgraded, disconnected, connected anew", async () => {
  const auth = await AuthServer.start();
  const supabase = auth.client();
  const { client, came } = realtime();
  await client.connect(fromSupabase(supabase));
  expect(client.state).toMatchObject({ status: "connected", authenticated: false });
  const { clientId } = client;
  await supabase.auth.signInWithPassword(as("ann"));
  await expect.poll(() => client.state).toMatchObject({ authenticated: true, userId: "ann", clientId });
  await supabase.auth.signOut();
  await expect.poll(() => client.state).toEqual({ status: "closed", reason: "disconnected" });
  await supabase.auth.signInWithPassword(as("bob"));
  await expect.poll(() => client.state).toMatchObject({ status: "connected", userId: "bob" });
  expect(client.clientId).not.toBe(clientId);
  expect(came()).toEqual(["connect undefined", "auth ann 1", "connect bob 2"]);
});

test("another user who signs in over the first has a session of their own", async () => {
  const auth = await AuthServer.start();
  const supabase = auth.client();
  await supabase.auth.signInWithPassword(as("ann"));
  const { client, server } = realtime();
  await client.connect(fromSupabase(supabase));
  const { clientId } = client;
  await supabase.auth.signInWithPassword(as("bob"));
  await expect.poll(() => client.state).toMatchObject({ status: "connected", userId: "bob", resumed: false });
  expect(client.clientId).not.toBe(clientId);
  // Not by the refusal of a token of another user's.
  expect(server.received.filter(({ type }) => type === "auth")).toEqual([]);
});

test("after disconnect, and after another source of tokens, the session is followed no more", async () => {
  const auth = await AuthServer.start();
  const supabase = auth.client();
  await supabase.auth.signInWithPassword(as("ann"));
  const { client, came, server } = realtime();
  await client.connect(fromSupabase(supabase));
  client.disconnect();
  await supabase.auth.signInWithPassword(as("ann"));
  await server.settled();
  expect(client.state).toEqual({ status: "closed", reason: "disconnected" });
  // Signed out, and then disconnected: the next sign-in is not for this client either.
  await client.connect(fromSupabase(supabase));
  await supabase.auth.signOut();
  await expect.poll(() => client.state.status).toBe("closed");
  client.disconnect();
  await supabase.auth.signInWithPassword(as("ann"));
  await server.settled();
  expect(client.state.status).toBe("closed");
  await client.connect(fromSupabase(supabase));
  const { data } = await supabase.auth.getSession();
  await client.connect(data.session?.access_token ?? "");
  await supabase.auth.signOut();
  await server.settled();
  expect(client.state).toMatchObject({ status: "connected", userId: "ann" });
  expect(came()).toEqual(["connect ann 1", "connect ann 2", "connect ann 3", "auth ann 3"]);
});

test("a session that can't be refreshed any more is told by a typed error, and ends the connection", async () => {
  const auth = await AuthServer.start();
  const supabase = auth.client();
  auth.lifetime = -10;
  await supabase.auth.signInWithPassword(as("ann"));
  auth.refuses = true;
  const { client, errors } = realtime();
  await expect(client.connect(fromSupabase(supabase))).rejects.toMatchObject({ code: "disconnected" });
  await expect.poll(() => errors.map(({ code }) => code)).toEqual(["token_failed"]);
  expect(errors[0]?.message).toBe("no token: Refresh Token Not Found");
  expect(client.state).toEqual({ status: "closed", reason: "disconnected" });
});
