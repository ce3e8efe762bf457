/** The entry `./supabase`: the session of a Supabase client as a source of tokens that follows sign-ins and sign-outs. */
import type { TokenClient, TokenProvider } from "./types.js";

/** From how long before its end a session is refreshed rather than used, in milliseconds. */
const REFRESH_BEFORE_MS = 60_000;

/** What is read of a Supabase session. */
export interface SupabaseSession {
  /** The JWT that the server is given. */
  readonly access_token: string;
  /** When it expires, in seconds since 1970. */
  readonly expires_at?: number | undefined;
  /** How long it lasts from when it is given, in seconds. */
  readonly expires_in?: number | undefined;
  /** Whose it is. */
  readonly user: { readonly id: string };
}

/** How Supabase answers: with a session, with none (nobody is signed in), or with why it can't tell. */
export type SupabaseAnswer = Promise<{
  data: { session: SupabaseSession | null };
  error: { message: string } | null;
}>;

/** What ends the telling. */
export interface SupabaseSubscription {
  /** Nothing is told any more. */
  unsubscribe(): void;
}

/** As much of a client of `@supabase/supabase-js` (version 2) as is used. */
export interface SupabaseLike {
  /** Its `auth`. */
  readonly auth: {
    /** The session as it is. */
    getSession(): SupabaseAnswer;
    /** The session with a newer token. */
    refreshSession(): SupabaseAnswer;
    /** Tells of sign-ins, sign-outs and refreshed tokens. */
    onAuthStateChange(changed: (event: string, session: SupabaseSession | null) => void): {
      data: { subscription: SupabaseSubscription };
    };
  };
}

const providers = new WeakMap<SupabaseLike, TokenProvider>();

/**
 * Tokens from a Supabase session: `client.connect(fromSupabase(supabase))`. One that ends within a minute is refreshed first;
 * while nobody is signed in the connection is anonymous. From `connect` on until `disconnect` (or another source of tokens) it
 * follows the session: a refreshed token is handed over on the live connection, a sign-out disconnects, the next sign-in connects
 * again, and another user gets a session of their own. For one Supabase client it always gives the same function.
 */
export function fromSupabase(supabase: SupabaseLike): TokenProvider {
  let provider = providers.get(supabase);
  if (provider === undefined) {
    provider = make(supabase);
    providers.set(supabase, provider);
  }
  return provider;
}

function make({ auth }: SupabaseLike): TokenProvider {
  const followed = new WeakMap<TokenClient, () => void>();
  const timeLeft = lifetimes();
  const provider = async () => {
    const { data, error } = await auth.getSession();
    if (error !== null) throw error;
    const left = timeLeft(data.session);
    if (left > REFRESH_BEFORE_MS) return data.session?.access_token;
    const refreshed = await auth.refreshSession();
    // A token that ends soon is better than none: a newer one is asked for before it ends.
    if (refreshed.error !== null && left <= 0) throw refreshed.error;
    timeLeft(refreshed.data.session);
    return (refreshed.data.session ?? data.session)?.access_token;
  };
  const follow = (client: TokenClient) => {
    let unfollow = followed.get(client);
    if (unfollow === undefined) {
      const end = followChanges(auth, client, provider as TokenProvider);
      unfollow = () => {
        if (end()) followed.delete(client);
      };
      followed.set(client, unfollow);
    }
    return unfollow;
  };
  return Object.assign(provider, { follow });
}

/**
 * Tells how long a session still lasts, in milliseconds. On a device whose clock is fast every session looks ended. The library
 * goes by the same clock, and has refreshed such a session before it gives it: a second refresh would be refused sooner or later
 * (429). Such a session lasts for its whole lifetime from now on.
 */
function lifetimes(): (session: SupabaseSession | null) => number {
  let token: string | undefined;
  let until = 0;
  return (session) => {
    if (session?.expires_at === undefined) return Number.POSITIVE_INFINITY;
    const now = Date.now();
    if (session.access_token !== token) {
      const left = session.expires_at * 1000 - now;
      // The first token that is seen may be an old one, unless the clock says that it has ended.
      const isFresh = left <= 0 || (token !== undefined && left <= REFRESH_BEFORE_MS);
      token = session.access_token;
      until = now + (isFresh && session.expires_in !== undefined ? session.expires_in * 1000 : left);
    }
    return until - now;
  };
}

/** Passes on what becomes of the session. Gives back what ends it, unless it is its own doing that it is called (then false). */
function followChanges(
  auth: SupabaseLike["auth"],
  client: TokenClient,
  provider: TokenProvider,
): () => boolean {
  let own = false;
  let user: string | undefined;
  let token: string | undefined;
  const doing = (deed: () => void) => {
    own = true;
    try {
      deed();
    } finally {
      own = false;
    }
  };
  const { subscription } = auth.onAuthStateChange((event, session) => {
    if (session === null) {
      const wasUser = user !== undefined;
      user = undefined;
      token = undefined;
      // At the beginning nobody is signed in, and the connection is anonymous.
      if (event === "SIGNED_OUT" || wasUser) doing(() => client.disconnect());
      return;
    }
    const before = { user, token };
    const newer = session.access_token;
    user = session.user.id;
    token = newer;
    // It is told again whenever the page is seen again; and at first, when the provider gives the same.
    if (newer === before.token || event === "INITIAL_SESSION") return;
    doing(() => {
      if (before.user !== undefined && before.user !== user) client.disconnect();
      // Closed, it connects; else it hands the token over. Then the provider is asked again for the next ones.
      else if (client.state.status !== "closed") client.connect(newer);
      client.connect(provider);
    });
  }).data;
  return () => {
    if (own) return false;
    subscription.unsubscribe();
    return true;
  };
}
