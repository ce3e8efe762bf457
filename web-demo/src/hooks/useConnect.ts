/** Connects the page, and again where the tabs are to share a connection or no longer are. */
import { useWebSocket, type WebSocketResult } from "@osbackend/realtime/react";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { FaultyWebSocket } from "../lib/faulty-socket.ts";
import { type DevSession, fetchSession } from "../lib/session.ts";

/** Someone watches this page: it tries again sooner than the SDK's default, and for as long as it is open. */
const BACKOFF = { initialMs: 1000, maxMs: 8000, attempts: 0 };

export function useConnect(session: DevSession | null, shareAcrossTabs: boolean): WebSocketResult {
  const used = useRef(false);
  // A token from the server for each connect, so that a server with new keys lets this page in again.
  const token = useCallback(async () => {
    if (!session || used.current) return (await fetchSession()).token;
    used.current = true;
    return session.token;
  }, [session]);
  const url = session?.wsUrl;
  const options = useMemo(
    () => ({
      WebSocket: FaultyWebSocket,
      backoff: BACKOFF,
      client: "web-demo",
      shareAcrossTabs,
      ...(url ? { url } : {}),
    }),
    [url, shareAcrossTabs],
  );
  const result = useWebSocket(session ? token : undefined, options);
  const { service } = result;

  const connectedWith = useRef(shareAcrossTabs);
  useEffect(() => {
    if (connectedWith.current === shareAcrossTabs) return;
    connectedWith.current = shareAcrossTabs;
    // The hook connects with the options of its first time; the state tells of a failure.
    if (service.state.status !== "closed") service.connect(token, options).catch(() => {});
  }, [service, token, options, shareAcrossTabs]);

  return result;
}
