//! `[audit]` and `[enrich]`: where the audit log goes, and where what is known of addresses comes from.

use super::error::{SettingsError, wrong};
use crate::forward::Destination;
use serde::Deserialize;
use std::path::PathBuf;

/// `[audit]` as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// A receiver of syslog: `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:///PATH`.
    pub syslog: Option<String>,
}

impl Audit {
    pub(super) fn destination(&self) -> Result<Option<Destination>, SettingsError> {
        let place = self.syslog.as_deref().map(str::parse).transpose();
        place.or_else(|problem| wrong("audit.syslog", problem))
    }
}

/// `[enrich]` as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrich {
    /// Files that say country and autonomous system; the first one that knows counts.
    pub files: Vec<PathBuf>,
}
