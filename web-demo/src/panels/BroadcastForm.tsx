/** Sends a broadcast to every open page, as the administrator. */
import { Send } from "lucide-react";
import { type FormEvent, useId, useState } from "react";
import { useAdmin } from "../hooks/useAdmin.ts";
import { LEVELS, type Level } from "../hooks/useBroadcast.ts";
import { Button, FIELD } from "../ui/Button.tsx";
import { Card } from "../ui/Card.tsx";

type Outcome = { status: "idle" | "sending" | "sent" } | { status: "failed"; message: string };

export function BroadcastForm({ token, url }: { token: string; url: string | undefined }) {
  const sendBroadcast = useAdmin(token, url);
  const [message, setMessage] = useState("");
  const [level, setLevel] = useState<Level>("info");
  const [outcome, setOutcome] = useState<Outcome>({ status: "idle" });
  const id = useId();

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setOutcome({ status: "sending" });
    try {
      await sendBroadcast(message.trim(), level);
      setMessage("");
      setOutcome({ status: "sent" });
    } catch (error) {
      setOutcome({ status: "failed", message: error instanceof Error ? error.message : String(error) });
    }
  };

  return (
    <Card title="Broadcast">
      <form onSubmit={submit} className="flex flex-wrap gap-2.5">
        <label htmlFor={`${id}-message`} className="sr-only">
          Message to everyone
        </label>
        <input
          id={`${id}-message`}
          data-testid="broadcast-message"
          value={message}
          onChange={(event) => setMessage(event.target.value)}
          maxLength={200}
          autoComplete="off"
          placeholder="Message to everyone"
          className={`${FIELD} grow basis-full sm:basis-60`}
        />
        <div className="flex grow gap-2 sm:grow-0">
          <label htmlFor={`${id}-level`} className="sr-only">
            Level
          </label>
          <select
            id={`${id}-level`}
            value={level}
            onChange={(event) => setLevel(event.target.value as Level)}
            className={`${FIELD} grow capitalize`}
          >
            {LEVELS.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
          <Button
            kind="solid"
            type="submit"
            data-testid="broadcast-send"
            disabled={message.trim() === "" || outcome.status === "sending"}
          >
            <Send aria-hidden="true" size={15} />
            Send
          </Button>
        </div>
        <p
          role="status"
          className={`min-h-4 basis-full text-xs ${outcome.status === "failed" ? "text-bad" : "text-ink-3"}`}
        >
          {outcome.status === "failed"
            ? outcome.message
            : outcome.status === "sent"
              ? "Sent to everyone in admin:broadcast."
              : "Sent as demo-admin: your own user may only listen."}
        </p>
      </form>
    </Card>
  );
}
