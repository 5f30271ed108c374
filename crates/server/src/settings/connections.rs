//! `[enrolment]` and `[connections]`: how hosts join and stay, and what connections may take.

use super::error::{SettingsError, wrong};
use crate::fleet::EnrolmentSettings;
use bartizan_wire::ListenSettings;
use serde::Deserialize;
use std::time::Duration;

/// `[enrolment]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrolment {
    /// Whether somebody has to approve of every new host, whatever its token says.
    pub approval: bool,
    /// Minutes that a host's certificate is good; its agent renews it when a third is over.
    pub certificate_minutes: u64,
}

impl Default for Enrolment {
    fn default() -> Self {
        Self { approval: false, certificate_minutes: 7 * 24 * 60 }
    }
}

impl Enrolment {
    pub(super) fn check(&self) -> Result<EnrolmentSettings, SettingsError> {
        let Self { approval, certificate_minutes: minutes } = *self;
        if !(1..=366 * 24 * 60).contains(&minutes) {
            return wrong("enrolment.certificate_minutes", format!("{minutes} is not in 1..=527040"));
        }
        Ok(EnrolmentSettings { approval, certificate: Duration::from_secs(minutes * 60) })
    }
}

/// `[connections]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// Connections of agents at one time.
    pub agents: usize,
    /// Connections to the page and the API at one time.
    pub front: usize,
    /// Of those, connections of one address.
    pub front_of_one: usize,
    /// Seconds for a handshake, and then for the head of a request.
    pub handshake_seconds: u64,
    /// Seconds for some ten kilobytes that somebody asked for and does not take.
    pub stall_seconds: u64,
}

/// Connections of one host: one, those that it has lost and the server still believes in, and some more.
const OF_ONE_HOST: usize = 8;

/// Streams of one host's connection: its lanes, and a request for a certificate.
const HOST_STREAMS: u32 = 16;

impl Default for Connections {
    fn default() -> Self {
        Self { agents: 16_384, front: 16_384, front_of_one: 1024, handshake_seconds: 10, stall_seconds: 60 }
    }
}

impl Connections {
    /// Bounds of the front port and of the agents'.
    pub(super) fn check(&self) -> Result<[ListenSettings; 2], SettingsError> {
        let Self { agents, front, front_of_one, handshake_seconds, stall_seconds } = *self;
        for (key, count) in [("connections.agents", agents), ("connections.front", front)] {
            if !(16..=1 << 20).contains(&count) {
                return wrong(key, format!("{count} is not in 16..=1048576"));
            }
        }
        if !(1..=front).contains(&front_of_one) {
            return wrong(
                "connections.front_of_one",
                format!("{front_of_one} is not in 1..=connections.front"),
            );
        }
        let times = [
            ("connections.handshake_seconds", handshake_seconds),
            ("connections.stall_seconds", stall_seconds),
        ];
        for (key, seconds) in times {
            if !(1..=600).contains(&seconds) {
                return wrong(key, format!("{seconds} is not in 1..=600"));
            }
        }
        let both = ListenSettings {
            handshake_time: Duration::from_secs(handshake_seconds),
            stall_time: Duration::from_secs(stall_seconds),
            ..ListenSettings::default()
        };
        Ok([
            ListenSettings { connections: front, connections_of_one: front_of_one, ..both },
            ListenSettings {
                connections: agents,
                connections_of_one: OF_ONE_HOST,
                streams: HOST_STREAMS,
                ..both
            },
        ])
    }
}
