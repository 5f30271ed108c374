//! Every event gets the rule that logged it and what became of the packet: rulesets as people write them, loaded
//! with the real tools, real packets, listed with the real tools again.
//!
//! Each test loads one shape, sends packets one at a time, and holds each event that NFLOG delivers for it
//! against the rule that must have logged it.

mod families;
mod iptables;
mod shapes;
mod stage;
