//! The server: listeners, tasks, life cycle.
