//! Several servers: each is a folder with what a server's own directory has, `address`, `ca.pem` and a token.
//!
//! ```text
//! ~/.config/bartizan/context              the name of the one that is asked when nobody says otherwise
//! ~/.config/bartizan/contexts/NAME/address, ca.pem, token
//! ```
//! The folder of a context is readable by its owner only. A token is only ever sent to the address beside it.

use crate::failure::Failure;
use anyhow::Context as _;
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The file with the name of the context that counts.
const CURRENT: &str = "context";

/// Where people keep their settings.
#[derive(Clone, Debug)]
pub(crate) struct Contexts {
    home: PathBuf,
}

impl Contexts {
    /// Those of whoever runs this; nothing, if there is no home.
    pub(crate) fn find() -> Option<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(Self { home: config.join("bartizan") })
    }

    /// Those that must be there, because they were asked for.
    pub(crate) fn needed() -> Result<Self, Failure> {
        Self::find().ok_or_else(|| Failure::Usage("no place for contexts: HOME is not set".into()))
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home.join("contexts"));
        let mut names: Vec<_> = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| is_name(name))
            .collect();
        names.sort_unstable();
        names
    }

    /// The name of the one that counts, if there is one.
    pub(crate) fn current(&self) -> Option<String> {
        let name = fs::read_to_string(self.home.join(CURRENT)).ok()?;
        Some(name.trim().to_owned()).filter(|name| is_name(name) && self.folder(name).is_dir())
    }

    /// The folder of a context that there is.
    pub(crate) fn existing(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.folder(name);
        if is_name(name) && folder.is_dir() {
            return Ok(folder);
        }
        let names = self.names();
        let known = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
        Err(Failure::NotFound(format!("no context is called {name:?}; known: {known}")))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.home.join("contexts").join(name)
    }

    /// Keeps a server under a name, in the place of one of that name, and lets it count.
    pub(crate) fn keep(
        &self,
        name: &str,
        address: &str,
        ca: Option<&str>,
        token: Option<&str>,
    ) -> Result<(), Failure> {
        if !is_name(name) {
            let text =
                format!("{name:?}: a name has letters, digits and `_-.`, and begins with one of the first");
            return Err(Failure::Usage(text));
        }
        let folder = self.folder(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        for (file, content) in [("address", Some(address)), ("ca.pem", ca), ("token", token)] {
            let path = folder.join(file);
            match content {
                Some(content) => write(&path, content)?,
                None => gone(&path)?,
            }
        }
        self.choose(name)
    }

    /// Lets a context count.
    pub(crate) fn choose(&self, name: &str) -> Result<(), Failure> {
        self.existing(name)?;
        write(&self.home.join(CURRENT), name)
    }

    /// Forgets a context with its token.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        let folder = self.existing(name)?;
        for file in ["address", "ca.pem", "token"] {
            gone(&folder.join(file))?;
        }
        fs::remove_dir(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        Ok(())
    }
}

/// A name is the name of a folder, and nothing else.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain)
}

/// The whole content or the old one, readable by its owner only.
fn write(path: &Path, content: &str) -> Result<(), Failure> {
    let new = path.with_extension("new");
    gone(&new)?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| writeln!(file, "{}", content.trim_end()))
        .and_then(|()| fs::rename(&new, path));
    Ok(written.with_context(|| format!("cannot write {}", path.display()))?)
}

fn gone(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(anyhow::Error::new(error).context(format!("cannot remove {}", path.display())).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn contexts_are_kept_chosen_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let contexts = Contexts { home: dir.path().join("bartizan") };
        assert_eq!((contexts.names(), contexts.current()), (Vec::new(), None));
        contexts.keep("one", "https://one:1", Some("pem"), Some("secret")).unwrap();
        contexts.keep("two", "http://127.0.0.1:2", None, None).unwrap();
        assert_eq!((contexts.names().len(), contexts.current().as_deref()), (2, Some("two")));
        let folder = contexts.existing("one").unwrap();
        assert_eq!(fs::read_to_string(folder.join("token")).unwrap(), "secret\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("token"))), (0o700, 0o600));
        contexts.choose("one").unwrap();
        contexts.keep("one", "https://one:1", Some("pem"), None).unwrap();
        assert!(!folder.join("token").exists(), "an old token does not stay beside a new address");
        contexts.remove("one").unwrap();
        assert_eq!(contexts.current(), None, "a context that is gone does not count");
        assert!(matches!(contexts.existing("one"), Err(Failure::NotFound(_))));
    }

    #[test]
    fn a_name_is_no_path() {
        let dir = tempfile::tempdir().unwrap();
        let contexts = Contexts { home: dir.path().to_owned() };
        for name in ["", "..", ".", "a/b", "../x", "-x", "a b", &"x".repeat(65)] {
            assert!(contexts.keep(name, "https://x", None, None).is_err(), "{name:?}");
            assert!(contexts.existing(name).is_err(), "{name:?}");
        }
    }
}
