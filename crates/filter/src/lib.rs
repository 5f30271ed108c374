//! The filter language: parse, print, type-check, match.
