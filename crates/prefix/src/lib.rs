//! What a log prefix says, by the dialects of those who write prefixes.
