/** When which alerts of a group are told, said again, and said to somebody else. Pure; times are handed in. */
import { type Alert, allLabels, isFiring, type Labels, shortHash } from "./alert.ts";
import type { NotifyRoute } from "./alerts.ts";
import { matches } from "./matching.ts";
import { type Message, type MessageKind, MOST_TOLD, told, worstFirst } from "./message.ts";

/** What was told of a group; stored with every message. */
export interface Group {
  readonly id: string;
  readonly labels: Labels;
  /** Alert → when the firing that was told began. */
  readonly told: Readonly<Record<string, number>>;
  /** Of the last messages, oldest first. */
  readonly sent: readonly number[];
  /** Since when it is told and nobody has acknowledged all of it. */
  readonly openSince?: number;
  /** Escalations that were sent since then. */
  readonly level: number;
  /** Messages so far. */
  readonly messages: number;
}

export interface Member {
  readonly alert: Alert;
  /** Silenced, or quiet for another. */
  readonly muted: boolean;
}

export interface Turn {
  /** As it is to be stored; undefined: it is over. */
  readonly group: Group | undefined;
  readonly message?: Message;
  /** Channels. */
  readonly to: readonly string[];
}

/** So many messages in so long (ms) are lively; what follows comes at most once a minute. */
const LIVELY = 5;
const LIVELY_WITHIN = 600_000;
const CALM_INTERVAL = 60_000;

/** Which groups there are, and who is in them. An alert that no route fits is told to nobody. */
export function groupsOf(
  members: readonly Member[],
  routes: readonly NotifyRoute[],
): Map<string, { readonly route: NotifyRoute; readonly labels: Labels; readonly members: Member[] }> {
  const groups = new Map<string, { route: NotifyRoute; labels: Labels; members: Member[] }>();
  for (const member of members) {
    const all = allLabels(member.alert);
    const route = routes.find(({ match }) => matches(match, all));
    if (route === undefined) continue;
    const labels = Object.fromEntries(route.groupBy.map((name) => [name, all[name] ?? ""]));
    const id = groupId(route, labels);
    const group = groups.get(id) ?? { route, labels, members: [] };
    groups.set(id, group);
    group.members.push(member);
  }
  return groups;
}

/** A route that is written otherwise is another one: what it speaks of is told anew. */
export function groupId({ match, to, groupBy }: NotifyRoute, labels: Labels): string {
  return `ag-${shortHash(JSON.stringify([match, to, groupBy, labels]))}`;
}

export function begun(id: string, labels: Labels): Group {
  return { id, labels, told: {}, sent: [], level: 0, messages: 0 };
}

export function turn(group: Group, members: readonly Member[], route: NotifyRoute, now: number): Turn {
  const active = members.filter(({ alert, muted }) => isFiring(alert) && !muted).map(({ alert }) => alert);
  const firing = new Map(
    members.filter(({ alert }) => isFiring(alert)).map(({ alert }) => [alert.id, alert]),
  );
  const fresh = active.filter(({ id, phase }) => group.told[id] !== firedAtOf(phase));
  const news = new Set(fresh.map(({ id }) => id));
  const over = Object.entries(group.told).filter(([id, firedAt]) => {
    const alert = firing.get(id);
    return alert === undefined || (firedAtOf(alert.phase) !== firedAt && !news.has(id));
  });
  const open = active.filter(({ ack }) => ack === undefined);
  const current = settled(group, open.length > 0);
  const dueAt = nextAllowed(current, route, now);
  const hasNews = fresh.length > 0 || over.length > 0;
  const since = fresh.length === 0 ? now : Math.min(...fresh.map(({ phase }) => firedAtOf(phase)));
  // What is over waits as long as what is new, in case it comes back.
  if (hasNews && now >= dueAt && (fresh.length === 0 || now >= since + route.wait)) {
    const ended = endedOf(
      over.map(([id]) => id),
      members,
      group,
    );
    return say(current, "news", fresh, ended, active, firing, route.to, now);
  }
  const escalation = route.escalate[current.level];
  if (open.length > 0 && escalation !== undefined && now - (current.openSince ?? now) >= escalation.after) {
    const next = { ...current, level: current.level + 1 };
    return say(next, "escalation", open, [], active, firing, escalation.to, now);
  }
  const last = current.sent.at(-1);
  if (hasNews) return { group: current, to: [] };
  if (open.length > 0 && last !== undefined && now - last >= route.repeat) {
    return say(current, "reminder", open, [], active, firing, route.to, now);
  }
  const isOver = Object.keys(current.told).length === 0 && (last === undefined || now - last > LIVELY_WITHIN);
  return { group: isOver ? undefined : current, to: [] };
}

/** Whatever was told of an alert that came to its end; of one that nobody knows any more, nothing is listed. */
function endedOf(ids: readonly string[], members: readonly Member[], { told: known }: Group): Alert[] {
  const wanted = new Set(ids);
  return members
    .map(({ alert }) => alert)
    .filter(({ id, phase }) => wanted.has(id) && phase.state === "resolved" && phase.firedAt >= known[id]!);
}

/** Nobody waits for anything any more: the next escalation begins at the beginning. */
function settled(group: Group, isOpen: boolean): Group {
  if (isOpen || (group.openSince === undefined && group.level === 0)) return group;
  const { openSince: _, ...rest } = group;
  return { ...rest, level: 0 };
}

function nextAllowed({ sent }: Group, { interval }: NotifyRoute, now: number): number {
  const last = sent.at(-1);
  if (last === undefined) return now;
  const isLively = sent.filter((at) => now - at < LIVELY_WITHIN).length >= LIVELY;
  return last + (isLively ? Math.max(interval, CALM_INTERVAL) : interval);
}

function say(
  group: Group,
  kind: MessageKind,
  firing: readonly Alert[],
  ended: readonly Alert[],
  active: readonly Alert[],
  all: ReadonlyMap<string, Alert>,
  to: readonly string[],
  now: number,
): Turn {
  const messages = group.messages + 1;
  // An escalation says again what was told, and what was silenced since then is still known.
  const muted = Object.entries(group.told).filter(([id, firedAt]) => {
    const alert = all.get(id);
    return alert !== undefined && firedAtOf(alert.phase) === firedAt;
  });
  const news = kind === "news" ? firing.map(({ id, phase }) => [id, firedAtOf(phase)]) : [];
  const next: Group = {
    ...group,
    told: Object.fromEntries([...muted, ...news]),
    sent: [...group.sent, now].slice(-LIVELY),
    messages,
    ...(group.openSince === undefined && active.some(({ ack }) => ack === undefined)
      ? { openSince: now }
      : {}),
  };
  if (firing.length === 0 && ended.length === 0) return { group: next, to: [] };
  const message: Message = {
    id: `${group.id.replace("ag-", "am-")}-${now.toString(36)}-${messages}`,
    kind,
    group: group.id,
    labels: group.labels,
    at: now,
    firing: worstFirst(firing).slice(0, MOST_TOLD).map(told),
    resolved: worstFirst(ended).slice(0, MOST_TOLD).map(told),
    counts: { firing: firing.length, resolved: ended.length, active: active.length },
  };
  return { group: next, message, to };
}

function firedAtOf(phase: Alert["phase"]): number {
  return phase.state === "pending" ? phase.since : phase.firedAt;
}
