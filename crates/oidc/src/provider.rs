//! The provider: asked for its document, its keys, and for who comes back.

use crate::claims::{Expected, claim, texts};
use crate::discovery::Metadata;
use crate::jwt::Jws;
use crate::keys::{Algorithm, Key, Keys};
use crate::pending::{Pending, Tickets};
use crate::{Identity, OidcError, OidcSettings, TokenFault, told};
use bartizan_model::Micros;
use bartizan_outgoing::{Answer, Ask, Outgoing, Url};
use data_encoding::BASE64;
use form_urlencoded::{Serializer, byte_serialize};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long what the provider says of itself counts.
const FRESH: Duration = Duration::from_secs(3600);
/// How long it is left alone after it did not answer.
const REST: Duration = Duration::from_secs(5);
/// How often keys are looked for anew because a token names one that is not known.
const ANEW: Duration = Duration::from_secs(60);
/// Codes that become tokens at one time.
const AT_ONCE: usize = 16;

/// Where a browser goes to sign in.
pub struct Begun {
    /// The address at the provider.
    pub location: String,
    /// For the cookie of the browser; nobody else learns it.
    pub secret: String,
}

/// What a browser brought back from the provider.
#[derive(Clone, Copy, Default)]
pub struct Returned<'a> {
    /// Which sign-in it is of.
    pub state: &'a str,
    /// What becomes a token.
    pub code: Option<&'a str>,
    /// Who says it, if he says who he is.
    pub issuer: Option<&'a str>,
    /// Why there is no code.
    pub error: Option<&'a str>,
    /// The same in words.
    pub words: Option<&'a str>,
}

/// Who came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Who.
    pub identity: Identity,
    /// Where the page goes on: a path of its own.
    pub back: String,
}

/// Something that was read, and when.
struct Read<T> {
    value: Arc<T>,
    at: Instant,
}

impl<T> Read<T> {
    fn is_younger(&self, than: Duration) -> bool {
        self.at.elapsed() < than
    }
}

/// What is known of the provider.
#[derive(Default)]
struct Known {
    metadata: Option<Read<Metadata>>,
    keys: Option<Read<Keys>>,
    /// When it last did not answer.
    failed: Option<Instant>,
}

/// Signs people in by one provider.
pub struct Oidc {
    settings: OidcSettings,
    outgoing: Outgoing,
    clock: fn() -> Micros,
    pending: Mutex<Pending>,
    /// Held while the provider is asked, so that many who wait ask once.
    known: tokio::sync::Mutex<Known>,
    exchanges: Semaphore,
}

impl std::fmt::Debug for Oidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oidc").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

impl Oidc {
    /// Asks nobody yet.
    #[must_use]
    pub fn new(settings: OidcSettings, outgoing: Outgoing, clock: fn() -> Micros) -> Self {
        Self {
            settings,
            outgoing,
            clock,
            pending: Mutex::default(),
            known: tokio::sync::Mutex::default(),
            exchanges: Semaphore::new(AT_ONCE),
        }
    }

    /// How it was configured.
    #[must_use]
    pub const fn settings(&self) -> &OidcSettings {
        &self.settings
    }

    /// Begins a sign-in of somebody in this network, who goes on at `back`.
    ///
    /// # Errors
    /// If the provider does not say where to go.
    pub async fn begin(&self, back: &str, from: Option<IpAddr>, now: Instant) -> Result<Begun, OidcError> {
        let metadata = self.metadata().await?;
        let Tickets { secret, state, nonce, challenge } = self.pending().begin(back, from, now)?;
        let question = form(&[
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.settings.redirect),
            ("scope", &self.settings.scope),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let endpoint = metadata.authorize.as_str();
        let join = if endpoint.contains('?') { '&' } else { '?' };
        Ok(Begun { location: format!("{endpoint}{join}{question}"), secret })
    }

    /// Finishes a sign-in of the browser that has this secret.
    ///
    /// # Errors
    /// Why nobody is signed in.
    pub async fn finish(
        &self,
        returned: Returned<'_>,
        secret: &str,
        now: Instant,
    ) -> Result<Finished, OidcError> {
        let _permit = self.exchanges.try_acquire().map_err(|_| OidcError::Busy)?;
        let begun = self.pending().take(returned.state, secret, now).ok_or(OidcError::Unknown)?;
        let metadata = self.metadata().await?;
        // Another provider's answer does not get to this one (mix-up, RFC 9207).
        let is_named =
            returned.issuer.map_or(!metadata.names_itself, |issuer| issuer == self.settings.issuer);
        if !is_named {
            return Err(TokenFault::Issuer.into());
        }
        let Some(code) = returned.code.filter(|_| returned.error.is_none()) else {
            let reason = returned.words.or(returned.error).unwrap_or("it sent no code");
            return Err(OidcError::Denied { provider: self.settings.name.clone(), reason: told(reason) });
        };
        let tokens = self.exchange(&metadata, code, &begun.verifier).await?;
        let claims = self.verified(&metadata, &tokens.id_token, &begun.nonce).await?;
        let identity = self.identity(&metadata, claims, tokens.access_token.as_deref()).await?;
        Ok(Finished { identity, back: begun.back })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the code, and gets tokens.
    async fn exchange(&self, metadata: &Metadata, code: &str, verifier: &str) -> Result<Tokens, OidcError> {
        const WHAT: &str = "answer to the code";
        let OidcSettings { client_id, redirect, secret, .. } = &self.settings;
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        let mut header = None;
        match secret {
            // RFC 6749, 2.3.1: both are encoded as in a form before they are a name and a password.
            Some(secret) if metadata.basic => {
                let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(client_id), encoded(&secret.0));
                header = Some(format!("Basic {}", BASE64.encode(pair.as_bytes())));
            }
            Some(secret) => {
                pairs.extend([("client_id", client_id.as_str()), ("client_secret", secret.0.as_str())])
            }
            None => pairs.push(("client_id", client_id)),
        }
        let mut ask = Ask::post(&metadata.token, "application/x-www-form-urlencoded", form(&pairs));
        if let Some(header) = header {
            ask = ask.with(AUTHORIZATION, header_value(&header, WHAT)?);
        }
        let answer = self.outgoing.ask(ask.accept("application/json")).await?;
        if answer.status.is_success() {
            return json(&answer, WHAT);
        }
        let refusal: Refusal = json(&answer, WHAT)?;
        let words = told(refusal.error_description.as_deref().unwrap_or(&refusal.error));
        match refusal.error.as_str() {
            "invalid_grant" => Err(OidcError::Code(words)),
            _ => {
                let problem = format!("{}: {words}", told(&refusal.error));
                Err(OidcError::Provider { what: WHAT, problem })
            }
        }
    }

    /// What an ID token says, if all of it is right.
    async fn verified(
        &self,
        metadata: &Metadata,
        token: &str,
        nonce: &str,
    ) -> Result<Map<String, Value>, OidcError> {
        let jws = Jws::parse(token)?;
        let key = self.key(metadata, jws.algorithm(), jws.kid()).await?;
        let claims = jws.verified(&key)?;
        let OidcSettings { issuer, client_id: client, .. } = &self.settings;
        Expected { issuer, client, nonce, now: (self.clock)().0.div_euclid(1_000_000) }.check(&claims)?;
        Ok(claims)
    }

    /// Who that is. What the ID token leaves out is asked for with the access token: groups and names are often only
    /// there.
    async fn identity(
        &self,
        metadata: &Metadata,
        mut claims: Map<String, Value>,
        access: Option<&str>,
    ) -> Result<Identity, OidcError> {
        const WHAT: &str = "answer about somebody";
        let OidcSettings { issuer, name_claim, groups_claim, .. } = &self.settings;
        let is_missing = [name_claim, groups_claim].iter().any(|name| claim(&claims, name).is_none());
        if let (true, Some(url), Some(access)) = (is_missing, &metadata.userinfo, access) {
            let bearer = header_value(&format!("Bearer {access}"), WHAT)?;
            let ask = Ask::get(url).accept("application/json").with(AUTHORIZATION, bearer);
            let answer = self.outgoing.ask(ask).await?;
            if !answer.status.is_success() {
                return Err(OidcError::Provider { what: WHAT, problem: format!("it is {}", answer.status) });
            }
            let more: Map<String, Value> = json(&answer, WHAT)?;
            // It could be of somebody else, and it is not signed.
            if more.get("sub") != claims.get("sub") {
                return Err(OidcError::Provider { what: WHAT, problem: "it is of another subject".into() });
            }
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        let text = |name: &str| claim(&claims, name).and_then(Value::as_str).unwrap_or_default();
        Ok(Identity {
            issuer: issuer.clone(),
            subject: text("sub").to_owned(),
            name: text(name_claim).to_lowercase(),
            groups: texts(claim(&claims, groups_claim)),
        })
    }

    /// What the provider says of itself. What was read before counts on when it does not answer.
    async fn metadata(&self) -> Result<Arc<Metadata>, OidcError> {
        let mut known = self.known.lock().await;
        let old = known.metadata.as_ref().map(|read| (Arc::clone(&read.value), read.is_younger(FRESH)));
        if let Some((metadata, true)) = &old {
            return Ok(Arc::clone(metadata));
        }
        let read = self.read(&mut known, &self.settings.discovery, |document| {
            Metadata::parse(document, &self.settings.issuer)
        });
        match (read.await, old) {
            (Ok(metadata), _) => {
                known.metadata = Some(Read { value: Arc::clone(&metadata), at: Instant::now() });
                Ok(metadata)
            }
            (Err(error), Some((metadata, _))) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the provider's description of itself is older than an hour"
                );
                Ok(metadata)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The key that a token names. One that is not known is looked for anew, once a minute: providers change their keys.
    async fn key(
        &self,
        metadata: &Metadata,
        algorithm: Algorithm,
        kid: Option<&str>,
    ) -> Result<Key, OidcError> {
        let mut known = self.known.lock().await;
        if let Some(read) = &known.keys {
            let found = read.value.find(algorithm, kid);
            let is_good = if found.is_ok() { read.is_younger(FRESH) } else { read.is_younger(ANEW) };
            if is_good {
                return Ok(found?.clone());
            }
        }
        let parse = |document: &[u8]| {
            let wrong = |error| format!("it is no JSON of keys: {error}");
            Keys::parse(document)
                .map_err(|error| OidcError::Provider { what: "list of keys", problem: wrong(error) })
        };
        let keys = match self.read(&mut known, &metadata.keys, parse).await {
            Ok(keys) => Arc::clone(&known.keys.insert(Read { value: keys, at: Instant::now() }).value),
            // Those that were read before count on.
            Err(error) => match &known.keys {
                Some(read) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the provider's keys are older than an hour"
                    );
                    Arc::clone(&read.value)
                }
                None => return Err(error),
            },
        };
        Ok(keys.find(algorithm, kid)?.clone())
    }

    /// Reads something of the provider; not again within seconds after it failed.
    async fn read<T>(
        &self,
        known: &mut Known,
        url: &Url,
        parse: impl FnOnce(&[u8]) -> Result<T, OidcError>,
    ) -> Result<Arc<T>, OidcError> {
        if known.failed.is_some_and(|at| at.elapsed() < REST) {
            return Err(OidcError::Away);
        }
        let read = async {
            let answer = self.outgoing.ask(Ask::get(url).accept("application/json")).await?;
            if !answer.status.is_success() {
                let problem = format!("{url:?} answers {}", answer.status);
                return Err(OidcError::Provider { what: "server", problem });
            }
            parse(&answer.body)
        };
        let read = read.await;
        known.failed = read.is_err().then(Instant::now);
        read.map(Arc::new)
    }
}

/// What a code becomes.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn header_value(text: &str, what: &'static str) -> Result<HeaderValue, OidcError> {
    HeaderValue::from_str(text)
        .map_err(|_| OidcError::Provider { what, problem: "a token has signs of control".into() })
}

/// The errors of the parser quote nothing of what they read but where it is.
fn json<T: DeserializeOwned>(answer: &Answer, what: &'static str) -> Result<T, OidcError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let problem = format!(
            "{}, and no JSON as it should be: {:?} in line {}",
            answer.status,
            error.classify(),
            error.line()
        );
        OidcError::Provider { what, problem }
    })
}

#[cfg(test)]
mod tests;
