// Hosts and how they are doing. That a host has no events and that nothing is heard of it are different things.

export interface Host {
  name: string;
  id: string | null;
  reports: string;
  first_seen: string;
  last_contact: string | null;
  last_event: string | null;
  events: number;
  lost: number;
  cert_not_after: string | null;
  clock_offset_ms: number | null;
  clone_seen: string | null;
  state: "online" | "offline" | "waiting" | "revoked" | "retired" | "no agent";
  /** What newer servers say as well. */
  version?: string | null;
  generation?: string | null;
  rate?: number;
  /** Bytes of the files of its spool, and how many batches of them wait, the oldest since when. */
  spool_bytes?: number | null;
  spool_batches?: number | null;
  spool_oldest?: string | null;
  /** Why it waits for approval. */
  waiting_for?: string | null;
  /** How far it is with what the server says of its configuration, by numbers of versions. */
  config?: "as wanted" | "not yet" | "refused" | null;
  config_wanted?: number[];
  config_has?: number[];
  config_why?: string | null;
  config_held?: string[];
  config_after_restart?: string[];
}

export const STATES = ["live", "quiet", "late", "lost", "silent", "never", "waiting", "revoked", "retired"] as const;
export type State = (typeof STATES)[number];

export const MEANING: Record<State, string> = {
  live: "in contact, with events of the last ten minutes",
  quiet: "in contact within 30 seconds, but no event for ten minutes or more: nothing was logged",
  late: "no contact for more than 30 seconds",
  lost: "no contact for more than ten minutes",
  silent: "has no agent, and nothing came for ten minutes: quiet or lost, nobody can tell",
  never: "never in contact",
  waiting: "nothing is taken of it before somebody approves",
  revoked: "it is not trusted any more",
  retired: "it is no more; its rows are kept",
};

/** What is to be done about a state. */
export const ADVICE: Partial<Record<State, string>> = {
  late: "It may be busy, or the way to it slow. What it logs waits on its disk meanwhile.",
  lost: "Is it up, does its agent run, can it reach the server? What it logs waits on its disk until it can. On it, `bartizan-agent status` and `bartizan-agent doctor` say more.",
  silent: "Does it still send to the server? Nothing but its next message can tell.",
  never: "It is enrolled, and its agent was never heard of: `bartizan-agent run` starts it, `bartizan-agent doctor` says what is missing.",
  waiting: "Is it the machine that it says it is? What it logs waits on its disk meanwhile.",
  revoked: "It keeps its key and its rows, and may enrol again with a new token.",
};

export const SIGN: Record<State, string> = { live: "●", quiet: "○", late: "◐", lost: "✕", silent: "◌", never: "–", waiting: "⧗", revoked: "⊘", retired: "□" };
export const TONE: Record<State, string> = { live: "good", quiet: "good", late: "warn", lost: "bad", silent: "dim", never: "dim", waiting: "warn", revoked: "bad", retired: "dim" };

const FRESH = 30_000;
const LONG = 600_000;

/** A stamp in milliseconds since 1970. */
export function at(stamp: string | null | undefined): number | undefined {
  if (!stamp) return undefined;
  const ms = Date.parse(stamp.replace(/(\.\d{3})\d+/, "$1"));
  return Number.isNaN(ms) ? undefined : ms;
}

export function stateOf(host: Host, now: number): State {
  if (host.state === "waiting" || host.state === "revoked" || host.state === "retired") return host.state;
  const contact = at(host.last_contact);
  const event = at(host.last_event);
  if (host.state === "no agent") {
    const heard = Math.max(contact ?? 0, event ?? 0);
    return heard === 0 ? "never" : now - heard <= LONG ? "live" : "silent";
  }
  if (contact === undefined) return "never";
  if (now - contact > LONG) return "lost";
  if (now - contact > FRESH) return "late";
  return event !== undefined && now - event <= LONG ? "live" : "quiet";
}

/** Whether a certificate ends so soon that it should have been renewed. They last a week and renew themselves. */
export function certificate(host: Host, now: number): "" | "warn" | "bad" {
  const end = at(host.cert_not_after);
  if (end === undefined) return "";
  return end <= now ? "bad" : end - now < 864e5 ? "warn" : "";
}

/** Whether a name is meant by one of a group's: `*` and `?` are wildcards, without case. */
export function inGroup(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => {
    const text = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
    return new RegExp(`^${text}$`, "isu").test(name);
  });
}
