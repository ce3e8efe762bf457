/** The client's devtools, as an application would have them: loaded when they are asked for, in the page's theme. */
import { useRealtimeClient } from "@osbackend/realtime/react";
import { Wrench } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { useTheme } from "../hooks/useTheme.ts";
import { IconButton } from "../ui/Button.tsx";

const RealtimeDevtools = lazy(async () => {
  const { RealtimeDevtools } = await import("@osbackend/realtime/devtools");
  return { default: RealtimeDevtools };
});

export function Devtools() {
  const [shown, setShown] = useState(false);
  const client = useRealtimeClient();
  const { theme } = useTheme();
  const label = shown ? "Hide the devtools" : "Show the devtools";
  return (
    <>
      <IconButton aria-label={label} aria-pressed={shown} title={label} onClick={() => setShown(!shown)}>
        <Wrench aria-hidden="true" size={18} strokeWidth={1.75} />
      </IconButton>
      {shown && (
        <Suspense>
          <RealtimeDevtools client={client} theme={theme} open />
        </Suspense>
      )}
    </>
  );
}
