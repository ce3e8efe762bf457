/** Which tabs are in which room, and for whom what comes in a room is: everyone's events, one tab's replay or snapshot. */
import type { RoomJoined } from "../generated/protocol.js";
import type { ServerFrame } from "./messages.js";

/** Where a tab stands in a room. */
export interface TabPosition {
  room: string;
  epoch?: string;
  offset?: number;
}

interface Room {
  readonly members: Set<string>;
  /** What the server said of the room, with the offset after which everything still comes by this connection. */
  stream?: RoomJoined;
  /** Whose join was answered last: a snapshot that comes now is theirs. */
  asker?: string;
  /** Events up to `upTo` that come now are the replay of these, `left` of them. */
  replay?: { readonly to: string[]; readonly upTo: number; left: number } | undefined;
  /** `members` as a list, until they change. */
  list?: readonly string[] | undefined;
}

/** The union of the tabs' rooms, as far as the server was asked for them on this connection. */
export class TabRooms {
  readonly #rooms = new Map<string, Room>();

  /** A tab wants to be in a room. */
  add(name: string, member: string): void {
    const room = this.#rooms.get(name) ?? { members: new Set() };
    this.#rooms.set(name, room);
    room.members.add(member);
    room.list = undefined;
  }

  /** A tab wants it no more. True when nobody is left, and the server has to be told. */
  remove(name: string, member: string): boolean {
    const room = this.#rooms.get(name);
    if (room === undefined || !room.members.delete(member)) return false;
    room.list = undefined;
    if (room.members.size > 0) return false;
    this.#rooms.delete(name);
    return true;
  }

  /** A tab is gone. The rooms that it was the last of. */
  removeAll(member: string): string[] {
    return [...this.#rooms.keys()].filter((name) => this.remove(name, member));
  }

  /** Whether any tab is in the room. */
  has(name: string): boolean {
    return this.#rooms.has(name);
  }

  /** The server ended the membership. */
  drop(name: string): void {
    this.#rooms.delete(name);
  }

  /** The server answered a tab's join; what the tab missed comes next, before anything newer. */
  joined(member: string, result: RoomJoined): void {
    const room = this.#rooms.get(result.room);
    if (room === undefined) return;
    const { epoch, offset, replayed } = result;
    room.asker = member;
    room.replay = replayed > 0 ? { to: [member], upTo: offset, left: replayed } : undefined;
    // Asked for again by another tab, the stream of those before it goes on where it was.
    if (room.stream?.epoch !== epoch) room.stream = { ...result, offset: offset - replayed };
  }

  /**
   * Takes a tab into a room that others are in, when all that it misses is still to come: what it would be told by the server.
   * Undefined where it has to ask.
   */
  adopt(member: string, { room: name, epoch, offset }: TabPosition): RoomJoined | undefined {
    const room = this.#rooms.get(name);
    const stream = room?.stream;
    if (room === undefined || stream === undefined || stream.epoch !== epoch) return undefined;
    if (offset === undefined || offset < stream.offset) return undefined;
    this.add(name, member);
    const newest = Math.max(stream.offset, room.replay?.upTo ?? 0);
    if (offset < newest) room.replay?.to.push(member);
    return { ...stream, offset: newest, recovered: true, replayed: Math.max(0, newest - offset) };
  }

  /** Everyone in a room. */
  members(name: string): readonly string[] {
    const room = this.#rooms.get(name);
    if (room === undefined) return [];
    room.list ??= [...room.members];
    return room.list;
  }

  /** For whom an event is. */
  receivers(name: string, event: ServerFrame): readonly string[] {
    const room = this.#rooms.get(name);
    if (room === undefined) return [];
    if (event.snapshot === true && room.asker !== undefined) return [room.asker];
    const { replay, stream } = room;
    if (stream !== undefined && (event.offset ?? 0) > stream.offset) stream.offset = event.offset as number;
    if (replay !== undefined && event.offset !== undefined && event.offset <= replay.upTo) {
      replay.left -= 1;
      if (replay.left === 0) room.replay = undefined;
      return replay.to;
    }
    return this.members(name);
  }

  /** The connection is gone, and every membership with it. */
  clear(): void {
    this.#rooms.clear();
  }
}
