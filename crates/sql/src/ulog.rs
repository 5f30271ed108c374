//! The view `ulog`: events under the names that ulogd's tables have had since 2000, so that old queries still run.
//!
//! Names are those of ulogd 1 and of the flat view of ulogd 2; where one is of another type in another database, the
//! one that every database can compare with counts: flags are 0 and 1, `ip_saddr` is a number as `INET_ATON` gives it.
//! `id` is the time in microseconds: it grows, and rows of one moment share it. What the product does not keep is null.

/// Over the table `events`.
pub(crate) const ULOG: &str = r#"
SELECT
  CAST(date_part('epoch', date_trunc('second', time)) AS BIGINT) * 1000000
    + CAST(date_part('microsecond', time) AS BIGINT) % 1000000 AS id,
  CAST(date_part('epoch', received) AS BIGINT) AS local_time,
  host AS local_hostname,
  CASE WHEN mac_src IS NOT NULL OR mac_dst IS NOT NULL
    THEN coalesce(mac_dst, '') || ':' || coalesce(mac_src, '') END AS raw_mac,
  length AS raw_pktlen,
  packets AS raw_pktcount,
  CAST(CASE action WHEN 'drop' THEN 0 WHEN 'reject' THEN 0 WHEN 'accept' THEN 1 END AS INT) AS raw_label,
  CAST(date_part('epoch', date_trunc('second', time)) AS BIGINT) AS oob_time_sec,
  CAST(date_part('microsecond', time) AS BIGINT) % 1000000 AS oob_time_usec,
  CAST(CASE hook WHEN 'prerouting' THEN 0 WHEN 'input' THEN 1 WHEN 'forward' THEN 2
    WHEN 'output' THEN 3 WHEN 'postrouting' THEN 4 END AS INT) AS oob_hook,
  prefix AS oob_prefix,
  coalesce(mark, 0) AS oob_mark,
  coalesce(in_if, '') AS oob_in,
  coalesce(out_if, '') AS oob_out,
  CAST(CASE family WHEN 'ip' THEN 2 WHEN 'ip6' THEN 10 WHEN 'bridge' THEN 7 WHEN 'arp' THEN 3
    ELSE CASE WHEN ip_number(src) IS NULL THEN 10 ELSE 2 END END AS INT) AS oob_family,
  ether_type AS oob_protocol,
  uid AS oob_uid,
  gid AS oob_gid,
  mac_src AS mac_saddr_str,
  mac_dst AS mac_daddr_str,
  ip_number(src) AS ip_saddr,
  ip_number(dst) AS ip_daddr,
  src AS ip_saddr_str,
  dst AS ip_daddr_str,
  src AS ip_saddr_bin,
  dst AS ip_daddr_bin,
  proto AS ip_protocol,
  tos AS ip_tos,
  ttl AS ip_ttl,
  length AS ip_totlen,
  CAST(NULL AS SMALLINT) AS ip_ihl,
  CAST(NULL AS INT) AS ip_csum,
  ip_id,
  frag AS ip_fragoff,
  CASE WHEN proto = 6 THEN sport END AS tcp_sport,
  CASE WHEN proto = 6 THEN dport END AS tcp_dport,
  tcp_seq,
  tcp_ack AS tcp_ackseq,
  tcp_window,
  CAST(NULL AS INT) AS tcp_urgp,
  CAST((tcp_flags >> 5) & 1 AS SMALLINT) AS tcp_urg,
  CAST((tcp_flags >> 4) & 1 AS SMALLINT) AS tcp_ack,
  CAST((tcp_flags >> 3) & 1 AS SMALLINT) AS tcp_psh,
  CAST((tcp_flags >> 2) & 1 AS SMALLINT) AS tcp_rst,
  CAST((tcp_flags >> 1) & 1 AS SMALLINT) AS tcp_syn,
  CAST(tcp_flags & 1 AS SMALLINT) AS tcp_fin,
  CASE WHEN proto = 17 THEN sport END AS udp_sport,
  CASE WHEN proto = 17 THEN dport END AS udp_dport,
  CAST(NULL AS INT) AS udp_len,
  CASE WHEN proto = 132 THEN sport END AS sctp_sport,
  CASE WHEN proto = 132 THEN dport END AS sctp_dport,
  CASE WHEN proto = 1 THEN icmp_type END AS icmp_type,
  CASE WHEN proto = 1 THEN icmp_code END AS icmp_code,
  CAST(NULL AS INT) AS icmp_echoid,
  CAST(NULL AS INT) AS icmp_echoseq,
  CAST(NULL AS BIGINT) AS icmp_gateway,
  CAST(NULL AS INT) AS icmp_fragmtu,
  CASE WHEN proto = 58 THEN icmp_type END AS icmpv6_type,
  CASE WHEN proto = 58 THEN icmp_code END AS icmpv6_code,
  CAST(NULL AS BIGINT) AS ahesp_spi,
  time AS "timestamp"
FROM public.events
"#;
