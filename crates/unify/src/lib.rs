//! No code: a list of features. See this crate's manifest.
