//! The agent: capture, spool, send.
