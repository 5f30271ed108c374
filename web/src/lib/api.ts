// Talks to /api/v1: JSON in, JSON or lines or server-sent events out. Filters go in bodies, never in addresses.

/** What it cost to answer. */
export interface Stats {
  query?: string;
  looked_at: number;
  bytes: number;
  files: number;
  complete: boolean;
  took_ms: number;
}

/** A row of any table, as the server prints it. */
export type Row = Record<string, string | number | boolean | null | undefined>;

/** An error as the server explains it (RFC 9457). */
export class Problem extends Error {
  readonly status: number;
  readonly type: string;
  readonly span: { start: number; end: number } | undefined;
  readonly proposal: string | undefined;
  /** Seconds after which it may be asked again. */
  readonly after: number | undefined;

  constructor(status: number, body: Partial<Record<string, unknown>>, after?: string | null) {
    super(String(body["detail"] ?? body["title"] ?? `the server answered ${status}`));
    this.status = status;
    this.type = String(body["type"] ?? "");
    this.span = body["span"] as { start: number; end: number } | undefined;
    this.proposal = body["proposal"] as string | undefined;
    this.after = after && /^\d+$/.test(after) ? Number(after) : undefined;
  }
}

/** What is told when the server does not answer at all. */
export class Unreachable extends Error {
  constructor() {
    super("the server does not answer");
  }
}

let ahead = 0;

/** The server's time, as far as answers tell it. A browser's clock that is wrong makes no host late. */
export const serverNow = (): number => Date.now() + ahead;

/** Stamps of answers are whole seconds, and take a while to come: what is less than two seconds apart is the same. */
function readClock(response: Response): void {
  const date = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(date)) return;
  const apart = date + 500 - Date.now();
  ahead = Math.abs(apart) < 2000 ? 0 : apart;
}

/** Where 401 says that a password or code is wrong, and not that nobody is signed in. */
const PROVES = /^(session|session\/provider.*|invitation|me\/.*)$/;

let signedOut: () => void = () => {};

/** What happens when the server no longer knows who asks. */
export function onSignedOut(then: () => void): void {
  signedOut = then;
}

async function send(path: string, body: unknown, signal?: AbortSignal, method?: string): Promise<Response> {
  const init: RequestInit = { method: method ?? (body === undefined ? "GET" : "POST"), credentials: "same-origin" };
  if (signal) init.signal = signal;
  if (body !== undefined) {
    init.headers = { "content-type": "application/json" };
    init.body = JSON.stringify(body);
  }
  let response: Response;
  try {
    response = await fetch(`/api/v1/${path}`, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable();
  }
  readClock(response);
  if (response.ok) return response;
  let problem: Partial<Record<string, unknown>> = {};
  try {
    problem = await response.json();
  } catch {
    // not a problem document: a proxy in between, perhaps
  }
  if (response.status === 401 && !PROVES.test(path)) signedOut();
  if (response.status === 502 || response.status === 504) throw new Unreachable();
  throw new Problem(response.status, problem, response.headers.get("retry-after"));
}

/** Asks for one JSON document: POST with a body, GET without. */
export async function ask<T>(path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const response = await send(path, body, signal);
  return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
}

/** Asks with a method of its own. */
export async function call(method: string, path: string, body?: unknown): Promise<void> {
  await send(path, body, undefined, method);
}

/** The last line of an answer in lines. */
export interface End {
  rows: number;
  complete: boolean;
  took_ms: number;
  cursor?: string;
  more?: boolean;
  problem?: { detail?: string; title?: string };
  stats: Stats;
}

/** Asks for rows; gives them as they come, and the end. An answer without its end is an error. */
export async function lines(
  path: string,
  body: unknown,
  take: (rows: Row[]) => void,
  signal?: AbortSignal,
): Promise<End> {
  const response = await send(path, body, signal);
  let end: End | undefined;
  for await (const texts of textLines(response)) {
    const rows: Row[] = [];
    for (const text of texts) {
      const value = JSON.parse(text);
      if (value.end && Object.keys(value).length === 1) end = value.end as End;
      else rows.push(value);
    }
    if (rows.length) take(rows);
  }
  if (!end) throw new Error("the answer broke off before its end");
  return end;
}

/** An event of a stream of them. */
export interface Sent {
  event: string;
  id: string | undefined;
  data: string;
}

/** Follows server-sent events until they end. `EventSource` cannot POST, and a filter does not belong into an address. */
export async function follow(
  path: string,
  body: unknown,
  take: (events: Sent[]) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await send(path, body, signal);
  let event = "message";
  let id: string | undefined;
  let data: string[] = [];
  for await (const texts of textLines(response, true)) {
    const events: Sent[] = [];
    for (const text of texts) {
      if (text === "") {
        if (data.length) events.push({ event, id, data: data.join("\n") });
        event = "message";
        data = [];
      } else if (text.startsWith("data:")) data.push(text.slice(text[5] === " " ? 6 : 5));
      else if (text.startsWith("event:")) event = text.slice(6).trim();
      else if (text.startsWith("id:")) id = text.slice(3).trim();
    }
    if (events.length) take(events);
  }
}

/** The lines of a body, in batches as they arrive. */
async function* textLines(response: Response, empty = false): AsyncGenerator<string[]> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const texts = (rest + value).split("\n");
    rest = texts.pop()!;
    yield empty ? texts : texts.filter((text) => text !== "");
  }
  if (rest !== "") yield [rest];
}
