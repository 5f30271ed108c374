//! End to end: the real binaries on real packets in network namespaces.
