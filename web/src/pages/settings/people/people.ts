// People, their access and what they did, as the server tells it.

import type { Role } from "../../../lib/roles.ts";

export interface User {
  name: string;
  role: Role;
  scope?: string | null;
  payload: boolean;
  totp: boolean;
  created: string;
  last_sign_in?: string | null;
  disabled: boolean;
  /** Until when a link is good with which a password is chosen. */
  invited_until?: string | null;
  /** The identity provider by which he signs in, instead of with a password. */
  provider?: string | null;
}

export interface Access {
  name: string;
  user?: string | null;
  role: Role;
  scope?: string | null;
  payload: boolean;
  created: string;
  expires?: string | null;
  used?: string | null;
  comment: string;
}

/** What is shown once. */
export interface Invited {
  name: string;
  code: string;
  until: string;
}

/** What somebody may: how much, of which events, and whether he sees what packets carried. */
export interface Rights {
  role: Role;
  scope: string;
  payload: boolean;
}

/** Rights as a change has them: a scope that says nothing takes away the one that was. */
export const changed = ({ role, scope, payload }: Rights): Rights => ({ role, scope: scope.trim(), payload });

/** Rights of somebody, or something, new. */
export function given({ role, scope, payload }: Rights): Partial<Rights> {
  return { role, payload, ...(scope.trim() && { scope: scope.trim() }) };
}

/** The address with which an invited person chooses a password. The code stands behind `#`, which no server is sent. */
export const invitation = (origin: string, code: string): string => `${origin}/#/invitation?code=${encodeURIComponent(code)}`;

/** How it stands with an account, in a word, and how good that is. */
export function standing(user: User, now: number): { word: string; tone: "good" | "warn" | "bad" | "dim" } {
  if (user.disabled) return { word: "disabled", tone: "bad" };
  if (user.invited_until) {
    const open = Date.parse(user.invited_until) > now;
    if (user.last_sign_in) return { word: open ? "new password offered" : "active", tone: open ? "warn" : "good" };
    return open ? { word: "invited", tone: "warn" } : { word: "invitation ended", tone: "bad" };
  }
  return { word: "active", tone: "good" };
}

/** How it stands with a token. */
export function good(access: Access, now: number): { word: string; tone: "good" | "warn" | "bad" } {
  if (!access.expires) return { word: "without end", tone: "warn" };
  const left = Date.parse(access.expires) - now;
  if (left <= 0) return { word: "ended", tone: "bad" };
  return left < 7 * 864e5 ? { word: "ends soon", tone: "warn" } : { word: "good", tone: "good" };
}
