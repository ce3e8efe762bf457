/** The page's identity: the tokens that `osbackend serve --dev` hands out at `/dev/session`. */

export interface DevSession {
  /** Of the user `demo-user`, or of who the page's address names (`?as=Grace`): may join the dashboard's rooms. */
  token: string;
  /** Of the admin `demo-admin`, who may publish. */
  adminToken?: string;
  /** Where the socket is, when it isn't `/ws` of this page's host. */
  wsUrl?: string;
  /** Where the server can be killed and started again; only under `cargo xtask demo`. */
  outageControl?: string;
}

/** Who this page is, where its address says so. */
export function nameInAddress(search: string): string | null {
  return new URLSearchParams(search).get("as");
}

/** Asks the server for tokens. Fails with a sentence for people. */
export async function fetchSession(): Promise<DevSession> {
  const name = nameInAddress(location.search);
  const path = name === null ? "/dev/session" : `/dev/session?${new URLSearchParams({ as: name })}`;
  const response = await fetch(path, { headers: { accept: "application/json" } }).catch(() => {
    throw new Error("the server can't be reached");
  });
  const isJson = response.headers.get("content-type")?.includes("json") ?? false;
  if (response.status === 400) throw new Error("the name in the page's address may have 1 to 24 letters");
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
