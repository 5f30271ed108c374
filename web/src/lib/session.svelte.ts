// Whether somebody is signed in. The token goes to the server once; what stays is a cookie that no script can read.

import { ask, call, onSignedOut } from "./api.ts";
import { go } from "./router.svelte.ts";

class Session {
  /** Unknown until the server has answered something. */
  state = $state<"in" | "out">("in");
}

export const session = new Session();

onSignedOut(() => {
  session.state = "out";
});

/** Signs in with a token. */
export async function signIn(token: string): Promise<void> {
  await ask("session", { token: token.trim() });
  session.state = "in";
}

/** Ends this session, here and at the server. */
export async function signOut(): Promise<void> {
  await call("DELETE", "session");
  session.state = "out";
}

/** A link with a token signs in, and the token leaves the address and the history. */
export async function signInByLink(): Promise<string | undefined> {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (!token) return undefined;
  history.replaceState(null, "", location.pathname === "/sign-in" ? "/" : location.pathname + location.search);
  go(location.pathname + location.search, true);
  try {
    await signIn(decodeURIComponent(token));
    return undefined;
  } catch (error) {
    session.state = "out";
    return error instanceof Error ? error.message : String(error);
  }
}
