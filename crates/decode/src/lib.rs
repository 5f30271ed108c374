//! Bytes to rows: nfnetlink attributes and packet headers.
