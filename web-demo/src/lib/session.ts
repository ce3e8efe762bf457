/** The page's identity: the tokens that `osbackend serve --dev` hands out at `/dev/session`. */

export interface DevSession {
  /** Of the user `demo-user`, who may join the dashboard's rooms. */
  token: string;
  /** Of the admin `demo-admin`, who may publish. */
  adminToken?: string;
  /** Where the socket is, when it isn't `/ws` of this page's host. */
  wsUrl?: string;
}

/** Asks the server for tokens. Fails with a sentence for people. */
export async function fetchSession(): Promise<DevSession> {
  const response = await fetch("/dev/session", { headers: { accept: "application/json" } }).catch(() => {
    throw new Error("the server can't be reached");
  });
  const isJson = response.headers.get("content-type")?.includes("json") ?? false;
  if (!response.ok || !isJson) {
    throw new Error("this server gives out no demo session");
  }
  return (await response.json()) as DevSession;
}

/** Asked for as the page's code arrives, before React has rendered anything. */
let first: Promise<DevSession> | undefined = fetchSession();
first.catch(() => {});

/** The session asked for at load, the first time; a new one after that. */
export function nextSession(): Promise<DevSession> {
  const session = first ?? fetchSession();
  first = undefined;
  return session;
}
