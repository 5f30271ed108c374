//! Which network namespaces are captured.

use crate::SettingsError;
use serde::Deserialize;

/// `netns` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "`own`, `all` or a list of names is expected")]
pub enum NetnsWritten {
    /// `own`, `all`, or one name.
    Word(String),
    /// Names.
    Names(Vec<String>),
}

impl Default for NetnsWritten {
    fn default() -> Self {
        Self::Word("own".into())
    }
}

/// Which network namespaces are captured beside the own one, which always is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetnsChoice {
    /// None.
    Own,
    /// Every one that has a name or a process.
    All,
    /// Those with these names.
    Named(Vec<String>),
}

impl NetnsChoice {
    /// What was meant.
    ///
    /// # Errors
    /// If a name is none of a namespace.
    pub fn new(written: NetnsWritten) -> Result<Self, SettingsError> {
        let names: Vec<String> = match written {
            NetnsWritten::Word(word) if word == "own" => return Ok(Self::Own),
            NetnsWritten::Word(word) if word == "all" => return Ok(Self::All),
            NetnsWritten::Word(word) => word.split(',').map(|name| name.trim().to_owned()).collect(),
            NetnsWritten::Names(names) => names,
        };
        if let Some(name) = names.iter().find(|n| n.is_empty() || n.contains('/')) {
            let problem = format!("`{name}` is no name of a network namespace; `ip netns` lists them");
            return Err(SettingsError::new("netns", problem));
        }
        Ok(Self::Named(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_a_word_or_names() {
        let meant = |w: &str| NetnsChoice::new(NetnsWritten::Word(w.into())).unwrap();
        assert_eq!((meant("own"), meant("all")), (NetnsChoice::Own, NetnsChoice::All));
        assert_eq!(meant("a, b"), NetnsChoice::Named(vec!["a".into(), "b".into()]));
        let error = NetnsChoice::new(NetnsWritten::Names(vec!["a/b".into()])).unwrap_err();
        assert!(error.to_string().starts_with("netns: `a/b` is no name"));
    }
}
