/** The rooms of this connection: how far each is read, whether nothing was missed, and joining others. */
import type { RealtimeEvent, RoomState } from "@osbackend/realtime";
import { useWebSocketRoom } from "@osbackend/realtime/react";
import { X } from "lucide-react";
import { type FormEvent, useEffect, useId, useState } from "react";
import type { Rooms } from "../hooks/useRooms.ts";
import type { Activity, RoomActivity } from "../lib/activity.ts";
import { formatCount, formatTenth } from "../lib/format.ts";
import { Badge } from "../ui/Badge.tsx";
import { Button, FIELD, IconButton } from "../ui/Button.tsx";
import { Card } from "../ui/Card.tsx";
import { TEXT, type Tone } from "../ui/tone.ts";

export interface RoomListProps extends Rooms {
  activity: Activity;
  /** Hears each event of each room. */
  listen: (room: string, event: RealtimeEvent) => void;
  /** Told of a room that is no longer shown. */
  forget: (room: string) => void;
}

export function RoomList({ names, added, refusal, join, leave, activity, listen, forget }: RoomListProps) {
  return (
    <Card title="Rooms" aside={<Continuity activity={activity} />}>
      <table className="w-full table-fixed text-xs">
        <thead>
          <tr className="text-left text-ink-3">
            <th scope="col" className="pb-2 font-normal">
              Room
            </th>
            <th scope="col" className="w-16 pb-2 text-right font-normal">
              Offset
            </th>
            <th scope="col" className="w-12 pb-2 text-right font-normal">
              ev/s
            </th>
            {added.length > 0 && (
              <th scope="col" className="w-9 pb-2">
                <span className="sr-only">Leave</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody data-testid="rooms">
          {names.map((name) => (
            <Row
              key={name}
              name={name}
              listen={listen}
              forget={forget}
              activity={activity.rooms[name]}
              leave={added.includes(name) ? leave : undefined}
              wide={added.length === 0}
            />
          ))}
        </tbody>
      </table>
      <JoinForm join={join} refusal={refusal} />
    </Card>
  );
}

/** Whether every event of every room came, as far as offsets can tell. */
function Continuity({ activity }: { activity: Activity }) {
  const startedOver = Object.values(activity.rooms).some((room) => room.startedOver);
  const [tone, text]: [Tone, string] =
    activity.missed > 0
      ? ["bad", `${formatCount(activity.missed)} events missed`]
      : startedOver
        ? ["warn", "went on from snapshots"]
        : ["idle", "no event missed"];
  return (
    <p data-testid="missed" className={`text-xs tabular-nums ${TEXT[tone]}`}>
      {text}
    </p>
  );
}

interface RowProps {
  name: string;
  listen: RoomListProps["listen"];
  forget: RoomListProps["forget"];
  activity: RoomActivity | undefined;
  leave: ((room: string) => void) | undefined;
  /** No row has a button to leave: there is no column for them. */
  wide: boolean;
}

/** A room of the page: in it while the row is shown. */
function Row({ name, listen, forget, activity, leave, wide }: RowProps) {
  const room = useWebSocketRoom(name, (event) => listen(name, event)) ?? {
    room: name,
    status: "joining",
  };
  useEffect(() => () => forget(name), [forget, name]);
  const offset = activity?.offset ?? room.offset;
  const { tone, label } = lookOf(room, activity?.startedOver ?? false);
  return (
    <tr
      data-room={name}
      data-status={room.status}
      data-recovered={room.recovered}
      className="border-line border-t"
    >
      <th scope="row" className="py-1.5 pr-2 text-left font-normal">
        <span className="block truncate font-mono text-[0.6875rem] text-ink" title={name}>
          {name}
        </span>
        <span className="mt-0.5 flex items-center gap-1.5 text-2xs text-ink-3">
          <Badge tone={tone}>{label}</Badge>
          {room.epoch && (
            <span className="truncate" title={`Epoch ${room.epoch}`}>
              epoch {room.epoch.slice(0, 8)}
            </span>
          )}
        </span>
      </th>
      <td data-testid="offset" className="text-right font-mono tabular-nums">
        {offset === undefined ? "–" : formatCount(offset)}
      </td>
      <td className="text-right text-ink-2 tabular-nums">{formatTenth(activity?.rate ?? 0)}</td>
      {!wide && (
        <td className="text-right">
          {leave && (
            <IconButton className="size-7!" aria-label={`Leave ${name}`} onClick={() => leave(name)}>
              <X aria-hidden="true" size={14} />
            </IconButton>
          )}
        </td>
      )}
    </tr>
  );
}

function lookOf(room: RoomState, startedOver: boolean): { tone: Tone; label: string } {
  switch (room.status) {
    case "joined":
      if (room.recovered) return { tone: "good", label: "Recovered" };
      return startedOver ? { tone: "warn", label: "From snapshot" } : { tone: "good", label: "Joined" };
    case "joining":
      return { tone: "warn", label: "Waiting" };
    case "refused":
      return { tone: "bad", label: "Refused" };
    default:
      return { tone: "idle", label: "Left" };
  }
}

function JoinForm({ join, refusal }: { join: (room: string) => void; refusal: string | null }) {
  const [name, setName] = useState("");
  const id = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    join(name.trim());
  };
  return (
    <form onSubmit={submit} className="mt-3 border-line border-t pt-3.5">
      <div className="flex gap-2">
        <label htmlFor={id} className="sr-only">
          Name of a room to join
        </label>
        <input
          id={id}
          data-testid="room-name"
          value={name}
          onChange={(event) => setName(event.target.value)}
          placeholder="agent:7"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          aria-describedby={`${id}-outcome`}
          aria-invalid={refusal !== null}
          className={`${FIELD} grow font-mono`}
        />
        <Button type="submit" data-testid="room-join" disabled={name.trim() === ""}>
          Join
        </Button>
      </div>
      <div id={`${id}-outcome`} className="mt-2 min-h-8 text-xs [overflow-wrap:anywhere]">
        <p role="alert" data-testid="refusal" className="text-bad">
          {refusal}
        </p>
        {refusal === null && (
          <p className="text-ink-3">Try agent:3, or one you may not enter: billing:secret</p>
        )}
      </div>
    </form>
  );
}
