//! The user that the worker runs as, and the hand-over of the agent's directory to it.

use crate::opener::Holder;
use crate::settings::Settings;
use anyhow::{Context as _, bail};
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

/// Folders in folders that are looked into; ours go three deep.
const DEPTH: u32 = 8;

/// A user of `/etc/passwd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// The user with a name; `None` when there is none.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::in_text(&fs::read_to_string("/etc/passwd").ok()?, name)
    }

    fn in_text(text: &str, name: &str) -> Option<Self> {
        text.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (found, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            (found == name).then_some(())?;
            Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
        })
    }
}

/// Hands over what an enrolment by root wrote. An agent that runs does so itself when it starts again: under its
/// hands, nothing is followed into its directory.
///
/// # Errors
/// When a file cannot be handed over.
pub fn after_enrolment(settings: &Settings) -> anyhow::Result<()> {
    let Some(user) = User::named(&settings.user).filter(|_| rustix::process::geteuid().is_root()) else {
        return Ok(());
    };
    match Holder::lock(&settings.dir) {
        Ok(_lock) => hand_over(&settings.dir, user),
        Err(_) => {
            tracing::warn!("an agent runs here: start it again, so that it may read its new certificate");
            Ok(())
        }
    }
}

/// Makes everything below `dir` belong to `user`. Links are not followed, and a file that has another name
/// somewhere is left alone: whoever wrote here may have made it to get something that is not his.
pub(crate) fn hand_over(dir: &Path, user: User) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    hand_over_below(dir, user, DEPTH)
}

/// Makes a folder that is not there, for `user`; one that is there is somebody's decision.
pub(crate) fn make_for(folder: &Path, user: Option<User>) -> anyhow::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let context = || format!("cannot make {}", folder.display());
    fs::create_dir_all(folder).with_context(context)?;
    match user {
        Some(user) => lchown(folder, Some(user.uid), Some(user.gid)).with_context(context),
        None => Ok(()),
    }
}

fn hand_over_below(path: &Path, user: User, depth: u32) -> anyhow::Result<()> {
    let context = || format!("cannot hand {} over", path.display());
    let meta = fs::symlink_metadata(path).with_context(context)?;
    if meta.is_dir() {
        if depth == 0 {
            bail!("{}: folders in folders without end", path.display());
        }
        for entry in fs::read_dir(path).with_context(context)? {
            hand_over_below(&entry.with_context(context)?.path(), user, depth - 1)?;
        }
    }
    if is_foreign(&meta, user) {
        lchown(path, Some(user.uid), Some(user.gid)).with_context(context)?;
    }
    Ok(())
}

fn is_foreign(meta: &Metadata, user: User) -> bool {
    let ours = meta.is_dir() || meta.is_file() && meta.nlink() == 1;
    ours && (meta.uid(), meta.gid()) != (user.uid, user.gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nbartizan-agent:x:998:997::/:/usr/sbin/nologin\n\
                          agent:x:many:1::/:/bin/false\n";

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let agent = User { uid: 998, gid: 997 };
        assert_eq!(User::in_text(PASSWD, "bartizan-agent"), Some(agent));
        assert_eq!(User::in_text(PASSWD, "bartizan"), None);
        assert_eq!(User::in_text(PASSWD, "agent"), None);
        assert_eq!(User::in_text(PASSWD, ""), None);
    }

    #[test]
    fn what_belongs_to_the_user_or_has_two_names_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        fs::write(&one, "").unwrap();
        let meta = || fs::symlink_metadata(&one).unwrap();
        let (me, other) = (User { uid: meta().uid(), gid: meta().gid() }, User { uid: 4_000_000, gid: 1 });
        assert!(!is_foreign(&meta(), me) && is_foreign(&meta(), other));
        fs::hard_link(&one, &two).unwrap();
        assert!(!is_foreign(&meta(), other));
        hand_over(dir.path(), me).unwrap();
    }
}
