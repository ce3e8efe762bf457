/** A room of the fake server: its stream, numbered as §5 says, and who is in it. */
import type { EventFrame, PresenceUser, RoomJoined } from "../generated/protocol.js";

/** One connection, as a room knows it. */
export interface Member {
  readonly clientId: string;
  readonly userId: string | undefined;
  tell(frame: object): void;
}

/** What a joining member gets. */
export interface Joined {
  result: RoomJoined;
  events: EventFrame[];
}

export class FakeRoom {
  readonly name: string;
  readonly members = new Set<Member>();
  readonly history: EventFrame[] = [];
  epoch: string;
  readonly #newest = new Map<string, EventFrame>();

  constructor(name: string, epoch: string) {
    this.name = name;
    this.epoch = epoch;
  }

  get offset(): number {
    return this.history.length;
  }

  /** Numbers an event and hands it to every member. */
  publish(
    event: Omit<EventFrame, "room" | "offset">,
    key: string | undefined,
    ephemeral = false,
  ): EventFrame {
    const frame: EventFrame = ephemeral
      ? { ...event, room: this.name }
      : { ...event, room: this.name, offset: this.offset + 1 };
    if (!ephemeral) {
      this.history.push(frame);
      if (key !== undefined) this.#newest.set(`${event.type} ${key}`, frame);
    }
    for (const member of [...this.members]) member.tell(frame);
    return frame;
  }

  /** Lets a member in, from a position or anew. */
  join(member: Member, position: { epoch?: string; offset?: number }, snapshot: boolean): Joined {
    this.members.add(member);
    const { epoch, offset } = position;
    const recovered = epoch === this.epoch && offset !== undefined && offset <= this.offset;
    const events = recovered
      ? this.history.slice(offset)
      : snapshot
        ? [...this.#newest.values()]
            .sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0))
            .map((frame) => ({ ...frame, snapshot: true }))
        : [];
    const result: RoomJoined = {
      room: this.name,
      epoch: this.epoch,
      offset: this.offset,
      recovered,
      replayed: recovered ? events.length : 0,
      ...(!recovered && events.length > 0 ? { snapshot: events.length } : {}),
      clientCount: this.members.size,
    };
    return { result, events };
  }

  /** Whether this user is in the room, other than by `except`. */
  has(userId: string, except?: Member): boolean {
    return [...this.members].some((member) => member !== except && member.userId === userId);
  }

  /** Users with their connections, by id. */
  users(): PresenceUser[] {
    const counts = new Map<string, number>();
    for (const { userId } of this.members) {
      if (userId !== undefined) counts.set(userId, (counts.get(userId) ?? 0) + 1);
    }
    return [...counts]
      .sort()
      .map(([userId, clients]) => ({ userId, clients, joinedAt: new Date().toISOString() }));
  }

  get anonymous(): number {
    return [...this.members].filter(({ userId }) => userId === undefined).length;
  }

  /** Forgets everything: the next join recovers nothing. */
  restart(epoch: string): void {
    this.epoch = epoch;
    this.history.length = 0;
    this.#newest.clear();
  }
}
