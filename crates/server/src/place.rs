//! Where the lake is: a folder of the server, or S3.

use crate::settings::SettingsError;
use crate::space::DiskSpace;
use anyhow::Context as _;
use bartizan_lake::{DurableLocal, Lease, LeaseError, S3, S3Credentials, Space};
use object_store::ObjectStore;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// `[lake]` as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenLake {
    /// `s3://BUCKET/PREFIX`; in the server's directory where it is missing.
    pub url: Option<String>,
    /// The address of an S3 service that is not AWS: `http://` or `https://`.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// A file with the access key, as AWS's tools have it; `machine` for what AWS gives the machine; the environment
    /// where it is missing.
    pub credentials: Option<String>,
}

/// Where the lake is meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the server's directory.
    Local,
    /// There.
    S3(S3),
}

impl Place {
    /// What was meant by what was written. `variable` tells variables of the environment.
    ///
    /// # Errors
    /// Names the key and what is wrong with its value.
    pub(crate) fn new(
        written: WrittenLake,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let wrong = |key, problem: String| Err(SettingsError::Own { key, problem });
        let WrittenLake { url, endpoint, region, credentials } = written;
        let Some(url) = url else {
            for (key, is_there) in [
                ("lake.endpoint", endpoint.is_some()),
                ("lake.region", region.is_some()),
                ("lake.credentials", credentials.is_some()),
            ] {
                if is_there {
                    return wrong(key, "it is of a lake in S3; `lake.url` says where that is".to_owned());
                }
            }
            return Ok(Self::Local);
        };
        let Some((bucket, prefix)) = S3::parse_url(&url) else {
            return wrong("lake.url", format!("`{url}` is not s3://BUCKET or s3://BUCKET/PREFIX"));
        };
        if let Some(endpoint) = &endpoint
            && !(endpoint.starts_with("http://") || endpoint.starts_with("https://"))
        {
            return wrong("lake.endpoint", format!("`{endpoint}` does not begin with http:// or https://"));
        }
        let credentials = match credentials.as_deref() {
            Some("machine") => S3Credentials::Machine,
            Some(path) => S3Credentials::File(path.into()),
            None => match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
                (Some(key), Some(secret)) => {
                    S3Credentials::Static { key, secret, token: variable("AWS_SESSION_TOKEN") }
                }
                _ => {
                    return wrong(
                        "lake.credentials",
                        "it is missing, and so is AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY".to_owned(),
                    );
                }
            },
        };
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        Ok(Self::S3(S3 { bucket, prefix, endpoint, region, credentials }))
    }

    /// The store, with whom to ask for its space, and what is held as long as this server writes there.
    pub(crate) async fn open(&self, dir: &Path) -> anyhow::Result<Opened> {
        let s3 = match self {
            Self::Local => {
                let root = dir.join("lake");
                let store = Arc::new(DurableLocal::new(&root)?);
                return Ok(Opened { store, space: Some(Arc::new(DiskSpace(root))), writer: None });
            }
            Self::S3(s3) => s3,
        };
        let store = s3.store().context("lake: the settings do not go together")?;
        let owner = owner(&dir.join("writer.id"))?;
        let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let lease = Lease::take(Arc::clone(&store), &owner, machine.trim()).await?;
        S3::check(&*store).await.context("lake: this service cannot hold it")?;
        Ok(Opened { store, space: None, writer: Some(Writer::start(lease)) })
    }
}

/// A place that is open.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) space: Option<Arc<dyn Space>>,
    pub(crate) writer: Option<Writer>,
}

/// Who this server is, in the lease: the same for ever.
fn owner(path: &PathBuf) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|e| anyhow::anyhow!("the system gives no random numbers: {e}"))?;
    let id = data_encoding::HEXLOWER.encode(&id);
    crate::run::replace(path, &format!("{id}\n"), 0o600)?;
    Ok(id)
}

/// The lease of a lake, renewed until it is given back or lost.
pub(crate) struct Writer {
    stop: watch::Sender<bool>,
    lost: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

impl Writer {
    fn start(lease: Lease) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (tell, lost) = watch::channel(None);
        Self { stop, lost, task: tokio::spawn(renew(lease, stopped, tell)) }
    }

    /// Waits until somebody else has the lake.
    pub(crate) async fn lost(&self) -> anyhow::Error {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await {
            Ok(why) => anyhow::anyhow!("{}", why.as_deref().unwrap_or_default()),
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives the lease back.
    pub(crate) async fn release(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the lake's lease ends by itself");
        }
    }
}

async fn renew(mut lease: Lease, mut stop: watch::Receiver<bool>, lost: watch::Sender<Option<String>>) {
    loop {
        let stopping = tokio::select! {
            () = tokio::time::sleep(lease.interval()) => false,
            _ = stop.wait_for(|stop| *stop) => true,
        };
        if stopping {
            if let Err(error) = lease.release().await {
                tracing::warn!(%error, "the lake's lease ends by itself");
            }
            return;
        }
        match lease.renew().await {
            Ok(()) => {}
            Err(error @ LeaseError::Lost { .. }) => {
                lost.send_replace(Some(error.to_string()));
                return;
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%error, cause, "the lake's lease cannot be renewed; trying again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str, change: impl FnOnce(&mut WrittenLake)) -> Result<Place, String> {
        let url = Some(url.to_owned()).filter(|url| !url.is_empty());
        let mut written = WrittenLake { url, ..WrittenLake::default() };
        change(&mut written);
        let variable = |name: &str| (name != "AWS_SESSION_TOKEN").then(|| format!("<{name}>"));
        Place::new(written, variable).map_err(|e| e.to_string())
    }

    #[test]
    fn what_was_written_is_what_was_meant() {
        assert_eq!(place("", |_| ()), Ok(Place::Local));
        let Ok(Place::S3(s3)) = place("s3://logs/fw", |w| w.endpoint = Some("http://127.0.0.1:9".into()))
        else {
            panic!("not S3")
        };
        assert_eq!((s3.bucket.as_str(), s3.prefix.as_ref(), s3.region.as_str()), ("logs", "fw", "us-east-1"));
        let secret = "<AWS_SECRET_ACCESS_KEY>".to_owned();
        let key = "<AWS_ACCESS_KEY_ID>".to_owned();
        assert!(!format!("{s3:?}").contains("SECRET"), "no secret reaches a log");
        assert_eq!(s3.credentials, S3Credentials::Static { key, secret, token: None });
        let file = place("s3://logs", |w| w.credentials = Some("/etc/key".into()));
        assert!(matches!(file, Ok(Place::S3(S3 { credentials: S3Credentials::File(_), .. }))));
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        let none = |w: WrittenLake| Place::new(w, |_| None).unwrap_err().to_string();
        let url = Some("s3://logs".to_owned());
        assert!(
            none(WrittenLake { url, ..WrittenLake::default() })
                .starts_with("lake.credentials: it is missing")
        );
        assert!(place("/var/lake", |_| ()).unwrap_err().starts_with("lake.url: `/var/lake` is not s3://"));
        assert!(
            place("", |w| w.region = Some("x".into()))
                .unwrap_err()
                .starts_with("lake.region: it is of a lake")
        );
        let endpoint = place("s3://logs", |w| w.endpoint = Some("127.0.0.1:9000".into())).unwrap_err();
        assert!(endpoint.starts_with("lake.endpoint: `127.0.0.1:9000` does not begin"), "{endpoint}");
    }
}
