//! Listens to senders that have no agent.
