//! Names in settings: of the certificate, of groups of hosts, of copies in databases, and in scopes of the provider.

use super::error::{SettingsError, wrong};
use crate::sinks::{Sink, WrittenSink};
use bartizan_filter::{Context, Filter};
use bartizan_model::Kind;
use bartizan_oidc::{OidcSettings, WrittenOidc};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The identity provider. A scope that it gives names what every table has, as the scope of a user does.
pub(super) fn provider(written: WrittenOidc, names: &Context) -> Result<OidcSettings, SettingsError> {
    let settings = OidcSettings::new(written)?;
    for scope in settings.grants.iter().filter_map(|grant| grant.scope.as_ref()) {
        for table in Kind::ALL {
            if let Err(error) = Filter::parse_for(table, scope, names) {
                return wrong("oidc.grant", format!("scope `{scope}`: {error}"));
            }
        }
    }
    Ok(settings)
}

/// All copies; a name is one sink's.
pub(super) fn sinks(written: Vec<WrittenSink>) -> Result<Vec<Sink>, SettingsError> {
    let mut names = std::collections::BTreeSet::new();
    let mut sinks = Vec::new();
    for sink in written {
        if !names.insert(sink.name.clone()) {
            return wrong("sink", format!("two are called `{}`", sink.name));
        }
        sinks.extend(Sink::all(sink)?);
    }
    Ok(sinks)
}

/// What filters may name beside sets.
pub(super) fn groups(written: &BTreeMap<String, Vec<String>>) -> Result<Context, SettingsError> {
    let mut context = Context::default();
    for (name, hosts) in written {
        let plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        if !name.starts_with(char::is_alphanumeric) || !name.chars().all(plain) {
            let problem = "a name has letters, digits and `_-.`, and begins with one of the first";
            return wrong("groups", format!("`{name}`: {problem}"));
        }
        let same = |(known, _): (&str, _)| known == bartizan_filter::fold(name);
        if context.groups().any(same) {
            return wrong("groups", format!("`{name}` is there twice; capitals make no difference"));
        }
        if let Some(host) = hosts.iter().find(|host| host.is_empty()) {
            return wrong("groups", format!("`{name}`: {host:?} is no name of a host"));
        }
        context = context.with_group(name, hosts);
    }
    Ok(context)
}

/// The names of the certificate: those written, those listened on, and this machine's own loopback.
pub(super) fn names(mut names: Vec<String>, addresses: [SocketAddr; 2]) -> Vec<String> {
    let listened =
        addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    names.extend(listened);
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|n| seen.insert(n.clone()));
    names
}
