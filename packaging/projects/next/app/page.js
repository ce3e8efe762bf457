/** A server component that gives the part below it a client, with no directive of its own. */
import { RealtimeProvider } from "@osbackend/realtime/react";
import { Live } from "./live";

export default async function Page({ searchParams }) {
  const { url, token } = await searchParams;
  return (
    <RealtimeProvider options={{ url }} token={token}>
      <Live />
    </RealtimeProvider>
  );
}
