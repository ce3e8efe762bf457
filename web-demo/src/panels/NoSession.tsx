/** What the page says when the server that serves it hands out no session. */
import { Unplug } from "lucide-react";
import { Button } from "../ui/Button.tsx";

export function NoSession({ message, retry }: { message: string; retry: () => void }) {
  return (
    <main className="grid min-h-dvh place-items-center p-6">
      <div role="alert" className="max-w-md text-center">
        <span className="mx-auto mb-5 grid size-12 place-items-center rounded-2xl bg-warn-soft text-warn">
          <Unplug aria-hidden="true" size={22} />
        </span>
        <h1 className="font-semibold text-xl tracking-[-0.02em]">The dashboard has no session</h1>
        <p className="mt-2 text-ink-2 text-sm first-letter:uppercase">{message}.</p>
        <p className="mt-4 text-ink-2 text-sm">
          Start one with{" "}
          <code className="whitespace-nowrap rounded-md bg-raised px-1.5 py-1 font-mono text-[0.8125rem] text-ink">
            osbackend serve --dev
          </code>
        </p>
        <Button kind="solid" className="mt-6" onClick={retry}>
          Try again
        </Button>
      </div>
    </main>
  );
}
