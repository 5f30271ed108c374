//! Settings in two stages: what was written, and what was meant by it.

use bartizan_model::Role;
use bartizan_outgoing::Url;
use serde::Deserialize;
use std::fs;
use std::path::PathBuf;

const DAY: i64 = 24 * 3600 * 1_000_000;
/// Where the provider sends the browser back to: the page, which asks the API itself.
const BACK: &str = "/sign-in";
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// `[oidc]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenOidc {
    /// What the provider is called on the page.
    #[serde(default = "name")]
    pub name: String,
    /// Where people open the page of this server: `https://watch.example.net:8443`.
    pub url: String,
    /// The provider, exactly as it calls itself.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// A file with the client's secret in its first line.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for beside `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// Which claim is the name of a new user.
    #[serde(default = "name_claim")]
    pub name_claim: String,
    /// Which claim holds the groups; `a.b` is the claim `b` in the claim `a`.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// For how many days after a sign-in its tokens may ask.
    #[serde(default = "keep_days")]
    pub keep_days: u32,
    /// What groups give; the first that somebody is in counts.
    #[serde(default)]
    pub grant: Vec<WrittenGrant>,
}

/// `[[oidc.grant]]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenGrant {
    /// The group, exactly as the provider writes it.
    pub group: String,
    /// What it gives.
    pub role: Role,
    /// The filter of the rows that it shows; all, if there is none.
    #[serde(default)]
    pub scope: Option<String>,
    /// Whether it shows what packets and lines say.
    #[serde(default)]
    pub payload: bool,
}

fn name() -> String {
    "single sign-on".into()
}

fn scopes() -> Vec<String> {
    vec!["profile".into()]
}

fn name_claim() -> String {
    "preferred_username".into()
}

fn groups_claim() -> String {
    "groups".into()
}

const fn keep_days() -> u32 {
    30
}

/// A setting that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("oidc.{key}: {problem}")]
pub struct OidcSettingsError {
    key: &'static str,
    problem: String,
}

/// What a group gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which group.
    pub group: String,
    /// What its members may do.
    pub role: Role,
    /// The filter of the rows that they may see; `None`: all.
    pub scope: Option<String>,
    /// Whether they may see what packets and lines say.
    pub payload: bool,
}

/// What was meant.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// What the provider is called on the page.
    pub name: String,
    /// The provider.
    pub issuer: String,
    /// What groups give.
    pub grants: Vec<Grant>,
    /// For how long after a sign-in what the provider said counts, in microseconds.
    pub keep: i64,
    pub(crate) discovery: Url,
    pub(crate) redirect: String,
    pub(crate) client_id: String,
    pub(crate) secret: Option<Secret>,
    pub(crate) scope: String,
    pub(crate) name_claim: String,
    pub(crate) groups_claim: String,
}

/// What nobody is to read.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

fn wrong<T>(key: &'static str, problem: impl Into<String>) -> Result<T, OidcSettingsError> {
    Err(OidcSettingsError { key, problem: problem.into() })
}

impl OidcSettings {
    /// What was meant by what was written. Reads the secret's file.
    ///
    /// # Errors
    /// Names the key and what is wrong with its value; never the secret.
    pub fn new(written: WrittenOidc) -> Result<Self, OidcSettingsError> {
        let name = written.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > 40 || name.contains(char::is_control) {
            return wrong("name", "a name has 1 to 40 characters");
        }
        let issuer = written.issuer;
        if issuer.contains('?') {
            return wrong("issuer", format!("`{issuer}` has a part behind `?`"));
        }
        let discovery = match format!("{}{DISCOVERY}", issuer.trim_end_matches('/')).parse() {
            Ok(url) => url,
            Err(error) => return wrong("issuer", format!("`{issuer}`: {error}")),
        };
        let page = written.url.trim_end_matches('/');
        match page.parse::<Url>() {
            Err(error) => return wrong("url", format!("`{page}`: {error}")),
            Ok(url) if url.target() != "/" || page.contains('?') => {
                return wrong("url", format!("`{page}` has a path; the page is at `/`"));
            }
            Ok(_) => {}
        }
        if written.client_id.is_empty() || written.client_id.contains(char::is_control) {
            return wrong("client_id", "it is what the provider calls this server");
        }
        let mut scope = "openid".to_owned();
        for wanted in written.scopes.iter().filter(|scope| *scope != "openid") {
            // As RFC 6749 has them, 3.3.
            if wanted.is_empty() || !wanted.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
                return wrong("scopes", format!("`{wanted}` is none"));
            }
            scope = format!("{scope} {wanted}");
        }
        for (key, claim) in [("name_claim", &written.name_claim), ("groups_claim", &written.groups_claim)] {
            if claim.is_empty() {
                return wrong(key, "it is the name of a claim");
            }
        }
        if !(1..=3650).contains(&written.keep_days) {
            return wrong("keep_days", format!("{} is not in 1..=3650", written.keep_days));
        }
        if written.grant.is_empty() {
            return wrong("grant", "there is none, so that nobody could sign in: write `[[oidc.grant]]`");
        }
        let grants = written.grant.into_iter().map(|grant| {
            let WrittenGrant { group, role, scope, payload } = grant;
            if group.is_empty() {
                return wrong("grant", "a group has a name");
            }
            Ok(Grant { group, role, scope: scope.filter(|scope| !scope.trim().is_empty()), payload })
        });
        let grants = grants.collect::<Result<_, _>>()?;
        Ok(Self {
            name,
            grants,
            keep: i64::from(written.keep_days) * DAY,
            discovery,
            redirect: format!("{page}{BACK}"),
            client_id: written.client_id,
            secret: written.client_secret_file.map(secret).transpose()?,
            scope,
            name_claim: written.name_claim,
            groups_claim: written.groups_claim,
            issuer,
        })
    }

    /// What somebody in these groups is given; nothing, if none of them gives anything.
    #[must_use]
    pub fn grant(&self, groups: &[String]) -> Option<&Grant> {
        self.grants.iter().find(|grant| groups.contains(&grant.group))
    }
}

fn secret(path: PathBuf) -> Result<Secret, OidcSettingsError> {
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return wrong("client_secret_file", format!("cannot read {}: {error}", path.display())),
    };
    match text.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => Ok(Secret(line.to_owned())),
        None => wrong("client_secret_file", format!("the first line of {} is empty", path.display())),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn written(issuer: &str) -> WrittenOidc {
        let grant =
            |group: &str, role| WrittenGrant { group: group.into(), role, scope: None, payload: false };
        WrittenOidc {
            name: name(),
            url: "https://watch.example.net:8443/".into(),
            issuer: issuer.into(),
            client_id: "bartizan".into(),
            client_secret_file: None,
            scopes: vec!["openid".into(), "profile".into(), "groups".into()],
            name_claim: name_claim(),
            groups_claim: groups_claim(),
            keep_days: keep_days(),
            grant: vec![grant("admins", Role::Admin), grant("staff", Role::Viewer)],
        }
    }

    #[test]
    fn what_is_meant() {
        let settings = OidcSettings::new(written("https://id.example.net/realms/main/")).unwrap();
        assert_eq!(settings.issuer, "https://id.example.net/realms/main/", "exactly as written");
        let discovery = "https://id.example.net/realms/main/.well-known/openid-configuration";
        assert_eq!(settings.discovery.as_str(), discovery);
        assert_eq!(settings.redirect, "https://watch.example.net:8443/sign-in");
        assert_eq!(settings.scope, "openid profile groups");
        let grant = |groups: &[&str]| {
            let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
            settings.grant(&groups).map(|grant| grant.role)
        };
        assert_eq!(grant(&["staff", "admins"]), Some(Role::Admin), "the first of the configuration");
        assert_eq!((grant(&["staff"]), grant(&["Staff", ""]), grant(&[])), (Some(Role::Viewer), None, None));
    }

    #[test]
    fn wrong_values_are_named_and_the_secret_is_not() {
        type Change = fn(&mut WrittenOidc);
        let changes: &[(Change, &str)] = &[
            (|w| w.name = " ".into(), "oidc.name: "),
            (
                |w| w.issuer = "http://id.example.net".into(),
                "oidc.issuer: `http://id.example.net`: it does not begin",
            ),
            (|w| w.issuer = "https://id.example.net/?a=b".into(), "oidc.issuer: "),
            (|w| w.url = "https://watch.example.net/bartizan".into(), "oidc.url: "),
            (|w| w.url = "watch.example.net".into(), "oidc.url: "),
            (|w| w.client_id = String::new(), "oidc.client_id: "),
            (|w| w.scopes = vec!["a b".into()], "oidc.scopes: `a b`"),
            (|w| w.groups_claim = String::new(), "oidc.groups_claim: "),
            (|w| w.keep_days = 0, "oidc.keep_days: 0"),
            (|w| w.grant.clear(), "oidc.grant: there is none"),
            (|w| w.grant[0].group.clear(), "oidc.grant: "),
            (
                |w| w.client_secret_file = Some("/nowhere/secret".into()),
                "oidc.client_secret_file: cannot read",
            ),
        ];
        for (change, expected) in changes {
            let mut written = written("https://id.example.net");
            change(&mut written);
            let error = OidcSettings::new(written).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "s3cret\nmore\n").unwrap();
        let settings = OidcSettings::new(WrittenOidc {
            client_secret_file: Some(path.clone()),
            ..written("https://a.b")
        })
        .unwrap();
        assert_eq!(settings.secret.as_ref().unwrap().0, "s3cret");
        assert!(!format!("{settings:?}").contains("s3cret"));
        fs::write(&path, "\ns3cret").unwrap();
        let error =
            OidcSettings::new(WrittenOidc { client_secret_file: Some(path), ..written("https://a.b") });
        assert!(error.unwrap_err().to_string().contains("first line"));
    }
}
