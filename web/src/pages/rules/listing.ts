// A ruleset's text, line by line, and which rule stands in which line.

/** A text that a tool printed of a ruleset. */
export interface Form {
  form: string;
  text: string;
}

/** A rule as the server counts it. */
export interface Hit {
  table: string;
  chain: string;
  handle?: number;
  position?: number;
  rule: string;
  counted?: number;
  bytes?: number;
  logged: number;
  coverage?: number;
  last?: string;
  state: "hit" | "never" | "unknown";
}

export interface ListingLine {
  number: number;
  /** Without the handle, which stands beside it. */
  text: string;
  handle?: number;
  rule?: Hit;
}

const HANDLE = / # handle (\d+)$/;

/** The texts that people read: nft's own and those of iptables; JSON only where there is nothing else. */
export function readable(forms: readonly Form[]): Form[] {
  const texts = forms.filter((form) => form.form !== "nft-json");
  return texts.length ? texts : [...forms];
}

/** The lines of a text, each rule with what it counted. A rule is found by its number, or by its place in its chain. */
export function lines(form: Form, rules: readonly Hit[]): ListingLine[] {
  const byPlace = new Map<string, Hit[]>();
  for (const rule of rules) {
    const chain = `${rule.table}\n${rule.chain}`;
    byPlace.set(chain, [...(byPlace.get(chain) ?? []), rule]);
  }
  const texts = form.text.replace(/\n$/, "").split("\n");
  return form.form.includes("iptables") || form.form.includes("ip6tables")
    ? saved(texts, form.form.startsWith("ip6") ? "ip6" : "ip", byPlace)
    : listed(texts, byPlace);
}

/** What `nft list ruleset` prints. */
function listed(texts: string[], byPlace: Map<string, Hit[]>): ListingLine[] {
  let table = "";
  let chain: string | undefined;
  return texts.map((whole, i) => {
    const handle = HANDLE.exec(whole)?.[1];
    const text = whole.replace(HANDLE, "");
    const line: ListingLine = { number: i + 1, text };
    if (handle !== undefined) line.handle = Number(handle);
    const bare = text.trim();
    const [, family, name] = /^table (\S+) (\S+) \{$/.exec(bare) ?? [];
    const inside = /^chain (\S+) \{$/.exec(bare)?.[1];
    if (family !== undefined) table = `${family} ${name}`;
    else if (inside !== undefined) chain = inside;
    else if (bare === "}") chain = undefined;
    else if (chain !== undefined && line.handle !== undefined) {
      const here = byPlace.get(`${table}\n${chain}`) ?? [];
      const rule = here.find((r) => r.handle === line.handle) ?? here.find((r) => r.rule === bare);
      if (rule) line.rule = rule;
    }
    return line;
  });
}

/** What `iptables-save` prints. */
function saved(texts: string[], family: string, byPlace: Map<string, Hit[]>): ListingLine[] {
  let table = "";
  const seen = new Map<string, number>();
  return texts.map((text, i) => {
    const line: ListingLine = { number: i + 1, text };
    const name = /^\*(\S+)/.exec(text)?.[1];
    const chain = /^(?:\[\d+:\d+\] )?-A (\S+)/.exec(text)?.[1];
    if (name !== undefined) table = `${family} ${name}`;
    else if (chain !== undefined) {
      const place = `${table}\n${chain}`;
      const position = (seen.get(place) ?? 0) + 1;
      seen.set(place, position);
      const rule = (byPlace.get(place) ?? []).find((r) => r.position === position);
      if (rule) line.rule = rule;
    }
    return line;
  });
}

/** A ruleset's text as it is compared: without numbers of rules and without what was counted, which differ by themselves. */
export function comparable(forms: readonly Form[]): string {
  return readable(forms)
    .flatMap((form) =>
      form.text
        .replace(/\n$/, "")
        .split("\n")
        // the first and the last line of iptables-save say when it was
        .filter((text) => !(form.form.includes("tables-save") && text.startsWith("#")))
        .map((text) =>
          text
            .replace(HANDLE, "")
            .replace(/\bcounter packets \d+ bytes \d+/g, "counter")
            .replace(/^\[\d+:\d+\] /, "")
            .replace(/^(:\S+ \S+) \[\d+:\d+\]$/, "$1"),
        ),
    )
    .join("\n");
}
