// The columns that rows of events can be shown with.

export interface Column {
  name: string;
  title: string;
  width: number;
  /** Numbers stand at the end of their cell. */
  number?: boolean;
}

const c = (name: string, title: string, width: number, number = false): Column => ({ name, title, width, number });

export const ALL: Column[] = [
  c("time", "time", 112),
  c("action", "action", 76),
  c("host", "host", 110),
  c("src", "source", 170),
  c("sport", "port", 58, true),
  c("dst", "destination", 170),
  c("dport", "port", 58, true),
  c("proto", "proto", 64),
  c("tcp_flags", "flags", 74),
  c("rule", "rule", 320),
  c("in_if", "in", 74),
  c("out_if", "out", 74),
  c("prefix", "prefix", 160),
  c("chain", "chain", 90),
  c("table", "table", 110),
  c("handle", "handle", 64, true),
  c("hook", "hook", 90),
  c("family", "family", 64),
  c("length", "bytes", 64, true),
  c("ttl", "ttl", 48, true),
  c("icmp_type", "icmp type", 70, true),
  c("icmp_code", "icmp code", 70, true),
  c("mark", "mark", 80, true),
  c("uid", "uid", 60, true),
  c("ct_state", "conntrack", 100),
  c("src_country", "src country", 80),
  c("src_asn", "src AS", 80, true),
  c("dst_country", "dst country", 80),
  c("dst_asn", "dst AS", 80, true),
  c("mac_src", "src mac", 140),
  c("mac_dst", "dst mac", 140),
  c("vlan", "vlan", 54, true),
  c("netns", "netns", 90),
  c("source", "captured by", 90),
  c("sender", "sender", 130),
  c("packets", "packets", 70, true),
  c("received", "received", 112),
  c("zones", "zones", 100),
];

const BY_NAME = new Map(ALL.map((column) => [column.name, column]));

/** Columns of names; names that are none are left out. */
export function columns(names: readonly string[]): Column[] {
  return names.map((name) => BY_NAME.get(name)).filter((column) => column !== undefined);
}
