/** Who looks at the dashboard, in the order and the words of the page. Pure. */
import type { RoomPresence } from "@osbackend/realtime";

export interface Viewer {
  id: string;
  name: string;
  initials: string;
  /** Connections; 0 while the last one is gone and may yet come back. */
  clients: number;
  since: number;
  isMe: boolean;
  /** One of `COLORS`, the same for the same person everywhere. */
  color: number;
}

export const COLORS = 6;

export function viewersOf({ users }: RoomPresence, me: string | undefined): readonly Viewer[] {
  return users
    .map(({ userId, clients, joinedAt, info }) => {
      const name = typeof info?.name === "string" && info.name !== "" ? info.name : userId;
      return {
        id: userId,
        name,
        initials: initialsOf(name),
        clients,
        since: Date.parse(joinedAt),
        isMe: userId === me,
        color: colorOf(userId),
      };
    })
    .sort((a, b) => Number(b.isMe) - Number(a.isMe) || a.since - b.since || a.id.localeCompare(b.id, "en"));
}

function initialsOf(name: string): string {
  const words = name.split(/[\s_-]+/).filter((word) => word !== "");
  const letters = words.length > 1 ? [words[0], words.at(-1)].map((word) => word?.at(0)) : [words[0]?.at(0)];
  return letters.join("").toUpperCase();
}

function colorOf(id: string): number {
  let hash = 0;
  for (const letter of id) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 1_000_003;
  return hash % COLORS;
}

/** `2 people, 3 connections`; `anonymous` are connections without a user. */
export function summaryOf({ users, userCount, anonymous, countsOnly }: RoomPresence): string {
  const people = userCount === 1 ? "1 person" : `${userCount} people`;
  if (countsOnly) return people;
  const clients = users.reduce((sum, user) => sum + user.clients, anonymous);
  return `${people}, ${clients === 1 ? "1 connection" : `${clients} connections`}`;
}

/** Who came and who went between two looks, in a sentence; empty when nobody did. */
export function newsOf(before: readonly Viewer[], now: readonly Viewer[]): string {
  const names = (some: readonly Viewer[], others: readonly Viewer[]) =>
    some.filter(({ id, isMe }) => !isMe && !others.some((other) => other.id === id)).map(({ name }) => name);
  const came = names(now, before);
  const went = names(before, now);
  return [
    came.length > 0 ? `${came.join(", ")} joined.` : "",
    went.length > 0 ? `${went.join(", ")} left.` : "",
  ]
    .filter((part) => part !== "")
    .join(" ");
}
