//! The Flight protocol between agent and server.
