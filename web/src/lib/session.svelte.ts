// Who is signed in, and what he may. Passwords and tokens go to the server once; what stays is a cookie that no script
// can read.

import { ask, call, onSignedOut, Problem } from "./api.ts";
import { lacking, type Role } from "./roles.ts";
import { go } from "./router.svelte.ts";

export interface Me {
  name: string;
  kind: "user" | "token" | "local";
  role: string;
  /** A filter that is added to everything that is asked. */
  scope?: string | null;
  /** Whether bytes of packets and raw texts are shown. */
  payload: boolean;
  totp: boolean;
  /** Whether an identity provider says who this is, so that there is no password here. */
  provided?: boolean;
}

class Session {
  /** Unknown until the server has answered something. */
  state = $state<"in" | "out">("in");
  me = $state.raw<Me | undefined>();
  /** The code of an invitation that was opened. */
  invitation = $state<string | undefined>();

  /** Why something is not for who is signed in; nothing, where it is. What is about everything is not for who sees a part. */
  lacks(role: Role, whole = false): string | undefined {
    const lack = lacking(this.me?.role, role);
    return lack ?? (whole && this.me?.scope ? "This is about all hosts, and you see a part of them." : undefined);
  }
}

export const session = new Session();

onSignedOut(() => {
  session.state = "out";
  session.me = undefined;
});

/** Asks who this is. A server that does not know the question is older, and lets everybody do everything. */
export async function meet(): Promise<void> {
  try {
    session.me = await ask<Me>("me");
  } catch {
    session.me = undefined;
  }
}

async function entered(): Promise<void> {
  session.state = "in";
  await meet();
}

export type Credentials = { token: string } | { user: string; password: string; code?: string };

/** Signs in. */
export async function signIn(credentials: Credentials): Promise<void> {
  await ask("session", credentials);
  await entered();
}

/** Whether the password was right, and a code is wanted beside it. */
export const codeNeeded = (error: unknown): boolean => error instanceof Problem && error.type === "urn:bartizan:code-needed";

/** Takes an invitation up: the password that is chosen is the account's, and signs in. */
export async function accept(code: string, password: string): Promise<void> {
  await ask("invitation", { code, password });
  session.invitation = undefined;
  await entered();
}

/** The name of the identity provider, where there is one. A server that does not know the question is older, and has none. */
export async function provider(): Promise<string | undefined> {
  try {
    return (await ask<{ name: string | null }>("session/provider")).name ?? undefined;
  } catch {
    return undefined;
  }
}

/** Leaves for the identity provider, which sends the browser back to `/sign-in`. */
export async function leave(back: string): Promise<void> {
  const { location: there } = await ask<{ location: string }>("session/provider", { back });
  // what the server says; but never a script's address
  if (!there.startsWith("https://")) throw new Error("the server names no address of the provider");
  location.assign(there);
}

/** What an identity provider sent the browser back with. */
export interface Returned {
  state: string;
  code?: string;
  iss?: string;
  error?: string;
  error_description?: string;
}

/** The same out of an address. */
export function returned(path: string, search: string): Returned | undefined {
  const query = new URLSearchParams(search);
  if (path !== "/sign-in" || !query.has("state") || !(query.has("code") || query.has("error"))) return undefined;
  const names = ["code", "iss", "error", "error_description"];
  const rest = names.filter((name) => query.has(name)).map((name) => [name, query.get(name)!]);
  return { state: query.get("state")!, ...Object.fromEntries(rest) };
}

/** Ends this session, here and at the server. */
export async function signOut(): Promise<void> {
  await call("DELETE", "session");
  session.state = "out";
  session.me = undefined;
}

/** What a link brings behind `#`: a token, or the code of an invitation. */
export function brought(hash: string): { token: string } | { code: string } | undefined {
  const found = /^#(?:token=|\/invitation\?code=)([^&]+)/.exec(hash);
  if (!found) return undefined;
  let text = found[1]!;
  try {
    text = decodeURIComponent(text);
  } catch {
    // a lone percent sign: as it stands
  }
  return hash.startsWith("#token=") ? { token: text } : { code: text };
}

/** Finishes a sign-in by the identity provider, and goes on where it was begun; why not, if it does not. */
async function finish(back: Returned): Promise<string | undefined> {
  // a code counts once: it is not for the history
  history.replaceState(null, "", "/sign-in");
  go("/sign-in", true);
  try {
    const { back: to } = await ask<{ back: string }>("session/provider/finish", back);
    await entered();
    go(to, true);
    return undefined;
  } catch (error) {
    // whoever was signed in before still is: anybody can write such an address into a link
    await meet();
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * A link with a token signs in, one with an invitation asks for a password, and what an identity provider sends along
 * signs in as well; all of them leave the address and the history.
 */
export async function signInByLink(): Promise<string | undefined> {
  const back = returned(location.pathname, location.search);
  if (back) return finish(back);
  const link = brought(location.hash);
  if (!link) {
    void meet();
    return undefined;
  }
  history.replaceState(null, "", location.pathname === "/sign-in" ? "/" : location.pathname + location.search);
  go(location.pathname + location.search, true);
  if ("code" in link) {
    session.invitation = link.code;
    return undefined;
  }
  try {
    await signIn({ token: link.token.trim() });
    return undefined;
  } catch (error) {
    session.state = "out";
    return error instanceof Error ? error.message : String(error);
  }
}
