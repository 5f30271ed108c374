//! Senders without an agent, as they are in the world: rsyslog, syslog-ng, logger, and whoever sends rubbish.

mod full;
mod hostile;
mod logger;
mod rsyslog;
mod stage;
mod syslog_ng;
