// The filter that finds the lines of a shape: the shape as an expression, its placeholders as what they stand for.

import { quoted } from "../../lib/filter.ts";

const STANDS_FOR: Record<string, string> = {
  "<ip>": "[0-9A-Fa-f:.]+",
  "<mac>": "[0-9A-Fa-f:]+",
  "<if>": "[^ ]+",
  "<n>": "(0x[0-9A-Fa-f]+|[0-9]+)",
};
/** Characters of a shape; one that is as long may have been cut. */
const MOST = 400;

export function ofShape(shape: string): string {
  const word = (text: string) =>
    text
      .split(/(<(?:ip|mac|if|n)>)/)
      .map((part) => STANDS_FOR[part] ?? part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
      .join("");
  const whole = [...shape].length < MOST;
  const gap = "[ [:cntrl:]]+";
  return `raw:~${quoted(`${shape.split(" ").map(word).join(gap)}${whole ? "[ [:cntrl:]]*$" : ""}`)}`;
}
