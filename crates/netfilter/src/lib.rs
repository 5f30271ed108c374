//! Netlink sockets: NFLOG groups and nf_tables counters. The one crate with unsafe code.
