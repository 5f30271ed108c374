/** The microseconds since 1970 of a time that the server wrote, which a `Date` would round. */
export function micros(text: string): number {
  const seconds = Date.parse(text.replace(/\.\d+/, "")) * 1000;
  return seconds + Number((/\.(\d{1,6})/.exec(text)?.[1] ?? "").padEnd(6, "0"));
}
