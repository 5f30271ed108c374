// What is typed on a host to enrol it.

/** A word of a shell, in quotes where it needs them. */
export function shell(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./[\]-]+$/.test(word) && !word.startsWith("[") ? word : `'${word.replace(/'/g, `'\\''`)}'`;
}

/** The address of the server as hosts are to call it: the page's own, without the port that is meant anyway. */
export function address(hostname: string, port: string): string {
  return port === "" ? `${hostname}:443` : port === "8443" ? hostname : `${hostname}:${port}`;
}

/** The command, in one line. */
export function command(server: string, token: string, name: string): string {
  const named = name.trim() === "" ? "" : ` --name ${shell(name.trim())}`;
  return `bartizan-agent enrol --server ${shell(server.trim())} --token ${shell(token)}${named} && bartizan-agent run`;
}

export const LIVES = [
  { seconds: 900, name: "15 minutes" },
  { seconds: 3600, name: "an hour" },
  { seconds: 86_400, name: "a day" },
  { seconds: 7 * 86_400, name: "a week" },
  { seconds: 30 * 86_400, name: "30 days" },
];
