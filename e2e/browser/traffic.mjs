// Events for the page to show: lines of a firewall's log, sent as any syslog daemon sends them.

import { connect } from "node:net";

const [host, port] = (process.env.BARTIZAN_SYSLOG ?? "127.0.0.1:0").split(":");

/** One dropped packet, as the kernel logs it. */
export function line({ from = "gateway", prefix = "in-drop: ", src = "203.0.113.9", dport = 22, iface = "eth0", at = new Date() } = {}) {
  const packet =
    `IN=${iface} OUT= MAC=52:54:00:00:00:01:52:54:00:00:00:02:08:00 SRC=${src} DST=198.51.100.2 LEN=60 TOS=0x00 PREC=0x00 ` +
    `TTL=52 ID=1 DF PROTO=TCP SPT=40000 DPT=${dport} WINDOW=64240 RES=0x00 SYN URGP=0`;
  return `<4>1 ${at.toISOString()} ${from} kernel - - - ${prefix}${packet}`;
}

/** A connection that lines are sent on; octets are counted (RFC 6587), so that a line may hold anything. */
export async function sender() {
  const socket = connect(Number(port), host);
  await new Promise((ready, fail) => socket.once("connect", ready).once("error", fail));
  return {
    send(lines) {
      const framed = lines.map((text) => `${Buffer.byteLength(text)} ${text}`).join("");
      return new Promise((sent) => socket.write(framed, sent));
    },
    close: () => new Promise((closed) => socket.end(closed)),
  };
}

/** `rate` lines a second for some seconds, numbered by their source port's place in the prefix. */
export async function stream(rate, seconds, make) {
  const to = await sender();
  const start = Date.now();
  let sent = 0;
  while (Date.now() - start < seconds * 1000) {
    const due = Math.floor(((Date.now() - start) / 1000) * rate);
    const lines = [];
    for (; sent < due; sent++) lines.push(make(sent));
    if (lines.length) await to.send(lines);
    await new Promise((later) => setTimeout(later, 20));
  }
  await to.close();
  return sent;
}

/** A little of everything: three hosts, a noisy source, many quiet ones, accepted and refused. */
export async function variety(count = 900) {
  const to = await sender();
  const lines = [];
  for (let n = 0; n < count; n++) {
    lines.push(
      line({
        from: ["gateway", "shop-01", "shop-02"][n % 3],
        prefix: n % 11 === 0 ? "in-accept: " : n % 5 === 0 ? "in-reject: " : "in-drop: ",
        src: n % 4 === 0 ? "203.0.113.66" : `203.0.113.${n % 90}`,
        dport: [22, 23, 80, 443, 3389, 5900][n % 6],
        at: new Date(Date.now() - (count - n) * 1500),
      }),
    );
  }
  await to.send(lines);
  await to.close();
}
