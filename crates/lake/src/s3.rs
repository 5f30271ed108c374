//! S3, or a service that speaks like it, as the place of a lake.
//!
//! What is asked of the service: strong consistency of reading and listing after writing, and `PutObject` with
//! `If-None-Match: *` and with `If-Match`, by which an entry of the log is put only where none is. AWS, MinIO, R2, Ceph,
//! Garage 2 and others have both. A service that ignores the conditions would let two writers lose rows, so
//! [`S3::check`] tries them before anything else is done.
//!
//! - A request that is answered `503` or `429`, or that finds no connection, is tried again with growing pauses, for
//!   [`PATIENCE`] at most. A put that was not answered in time is not tried again, because it may have been done: the
//!   lake then looks what became of it (`Turn::unsure`).
//! - Credentials of a file are read again when the file changes, so that they can be renewed without a restart.

use async_trait::async_trait;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::client::SpawnedReqwestConnector;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, ClientOptions, CredentialProvider, Error, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, Result, RetryConfig,
};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long one operation is tried again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one request may take, and finding a connection for it.
const REQUEST: Duration = Duration::from_secs(120);
const CONNECT: Duration = Duration::from_secs(5);

/// Where a lake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    /// The bucket.
    pub bucket: String,
    /// What every object's name begins with; may be empty.
    pub prefix: Path,
    /// `http://` or `https://` and the address of the service; AWS's own where it is missing.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// By what the service knows us.
    pub credentials: S3Credentials,
}

/// By what a service knows us.
#[derive(Clone, PartialEq, Eq)]
pub enum S3Credentials {
    /// A file as AWS's tools have it: `aws_access_key_id`, `aws_secret_access_key` and perhaps `aws_session_token` of
    /// the profile `default`.
    File(PathBuf),
    /// Said by who started the program.
    Static {
        /// The key's name.
        key: String,
        /// The secret.
        secret: String,
        /// A token, of credentials that end.
        token: Option<String>,
    },
    /// What AWS gives the machine, asked of its metadata service.
    Machine,
}

impl std::fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Static { key, .. } => f.debug_struct("Static").field("key", key).finish_non_exhaustive(),
            Self::Machine => f.write_str("Machine"),
        }
    }
}

impl S3 {
    /// Bucket and prefix of `s3://BUCKET/PREFIX`.
    #[must_use]
    pub fn parse_url(url: &str) -> Option<(String, Path)> {
        let (bucket, prefix) = match url.strip_prefix("s3://")?.split_once('/') {
            Some((bucket, prefix)) => (bucket, prefix),
            None => (url.strip_prefix("s3://")?, ""),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let named = (3..=63).contains(&bucket.len()) && bucket.chars().all(plain);
        named.then(|| Path::parse(prefix).ok()).flatten().map(|prefix| (bucket.to_owned(), prefix))
    }

    /// The store. Nothing is asked of the service yet. Its connections belong to the runtime of whoever calls this, so
    /// that a thread that computes for a while (upkeep) never holds up another one's request.
    ///
    /// # Errors
    /// If the settings do not go together, or no runtime is there.
    pub fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        self.store_with(PATIENCE, REQUEST)
    }

    /// As [`S3::store`], with other bounds of time: of one operation, of one request.
    ///
    /// # Errors
    /// As [`S3::store`].
    pub fn store_with(&self, patience: Duration, request: Duration) -> Result<Arc<dyn ObjectStore>> {
        let plain = self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let options =
            ClientOptions::new().with_allow_http(plain).with_timeout(request).with_connect_timeout(CONNECT);
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
            max_retries: 20,
            retry_timeout: patience,
        };
        let failed = |source| Error::Generic { store: "S3", source };
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| failed(error.into()))?;
        let mut builder = AmazonS3Builder::new()
            .with_http_connector(SpawnedReqwestConnector::new(runtime))
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_client_options(options)
            .with_retry(retry);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        builder = match &self.credentials {
            S3Credentials::File(path) => builder.with_credentials(Arc::new(FromFile::new(path.clone()))),
            S3Credentials::Static { key, secret, token } => {
                let builder = builder.with_access_key_id(key).with_secret_access_key(secret);
                match token {
                    Some(token) => builder.with_token(token),
                    None => builder,
                }
            }
            S3Credentials::Machine => builder,
        };
        let store = builder.build()?;
        Ok(if self.prefix.as_ref().is_empty() {
            Arc::new(store)
        } else {
            Arc::new(PrefixStore::new(store, self.prefix.clone()))
        })
    }

    /// Whether a store keeps the promise that a put with a condition does nothing where the condition does not hold.
    ///
    /// # Errors
    /// If it does not, or does not answer.
    pub async fn check(store: &dyn ObjectStore) -> Result<()> {
        let path = Path::from("_bartizan_check");
        store.put(&path, "put only where none is".into()).await?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let again = store.put_opts(&path, "put twice".into(), options).await;
        store.delete(&path).await?;
        match again {
            Err(Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::NotImplemented {
                operation: "`PutObject` with `If-None-Match`, which a lake needs".into(),
                implementer: store.to_string(),
            }),
        }
    }
}

/// Credentials of a file, read again when it changes.
#[derive(Debug)]
struct FromFile {
    path: PathBuf,
    known: Mutex<Option<(SystemTime, Arc<AwsCredential>)>>,
}

impl FromFile {
    fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::default() }
    }

    fn read(&self) -> Result<Arc<AwsCredential>> {
        let failed = |source| Error::Generic { store: "S3", source };
        let io = |error: std::io::Error| {
            failed(format!("cannot read the credentials in {}: {error}", self.path.display()).into())
        };
        let written = fs::metadata(&self.path).and_then(|meta| meta.modified()).map_err(io)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, credential)) = &*known
            && *of == written
        {
            return Ok(Arc::clone(credential));
        }
        let text = fs::read_to_string(&self.path).map_err(io)?;
        let credential = credential(&text).ok_or_else(|| {
            failed(format!("{} names no access key with its secret", self.path.display()).into())
        })?;
        let credential = Arc::new(credential);
        *known = Some((written, Arc::clone(&credential)));
        Ok(credential)
    }
}

#[async_trait]
impl CredentialProvider for FromFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        self.read()
    }
}

/// The keys of the profile `default`, or of lines before any profile.
fn credential(text: &str) -> Option<AwsCredential> {
    let (mut key_id, mut secret_key, mut token) = (None, None, None);
    let mut ours = true;
    for line in text.lines().map(str::trim) {
        if let Some(profile) = line.strip_prefix('[') {
            ours = profile.trim_end_matches(']').trim() == "default";
        }
        let Some((name, value)) = line.split_once('=').filter(|_| ours) else { continue };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match name.trim().to_ascii_lowercase().as_str() {
            "aws_access_key_id" => key_id = value,
            "aws_secret_access_key" => secret_key = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    Some(AwsCredential { key_id: key_id?, secret_key: secret_key?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let parsed = |url: &str| S3::parse_url(url).map(|(bucket, prefix)| format!("{bucket} {prefix}"));
        assert_eq!(parsed("s3://logs").as_deref(), Some("logs "));
        assert_eq!(parsed("s3://logs/").as_deref(), Some("logs "));
        assert_eq!(parsed("s3://fw-logs.example/a/b/").as_deref(), Some("fw-logs.example a/b"));
        for wrong in ["logs", "s3://", "s3:///a", "s3://a b/c", "http://logs/a", "s3://lo"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn credentials_are_those_of_the_default_profile_and_change_with_their_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let file = FromFile::new(path.clone());
        assert!(file.read().unwrap_err().to_string().contains("cannot read the credentials"));
        fs::write(&path, "[other]\naws_access_key_id = X\naws_secret_access_key=Y\n").unwrap();
        assert!(file.read().unwrap_err().to_string().contains("names no access key"));
        let text =
            "[other]\naws_access_key_id = X\n[default]\naws_access_key_id = A\nAWS_SECRET_ACCESS_KEY=b=c\n";
        fs::write(&path, text).unwrap();
        let read = file.read().unwrap();
        assert_eq!((read.key_id.as_str(), read.secret_key.as_str(), &read.token), ("A", "b=c", &None));
        fs::write(&path, "aws_access_key_id=B\naws_secret_access_key=d\naws_session_token=t\n").unwrap();
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        let read = file.read().unwrap();
        assert_eq!((read.key_id.as_str(), read.token.as_deref()), ("B", Some("t")));
    }

    #[tokio::test]
    async fn a_store_that_keeps_conditions_passes_and_leaves_nothing() {
        let store = object_store::memory::InMemory::new();
        S3::check(&store).await.unwrap();
        let left = store.list_with_delimiter(None).await.unwrap();
        assert!(left.objects.is_empty());
    }
}
