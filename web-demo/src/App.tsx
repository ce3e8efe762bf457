/** From a session to a live dashboard. */
import { RealtimeProvider } from "@osbackend/realtime/react";
import { useSession } from "./hooks/useSession.ts";
import { Dashboard } from "./panels/Dashboard.tsx";
import { NoSession } from "./panels/NoSession.tsx";

export function App() {
  const { session, retry } = useSession();
  if (session.status === "missing") return <NoSession message={session.message} retry={retry} />;
  return (
    <RealtimeProvider>
      <Dashboard session={session.status === "ready" ? session.session : null} />
    </RealtimeProvider>
  );
}
