// What the page says of a new password before it asks the server, which knows the common ones.

export const SHORTEST = 12;

/** What is wrong with it; nothing, where the server may be asked. Characters are counted, not bytes. */
export function wrong(password: string, again: string): string | undefined {
  const length = [...password].length;
  if (length < SHORTEST) return `It has ${length} characters, and must have ${SHORTEST} or more.`;
  if (password !== again) return "The two are not the same.";
  return undefined;
}
