//! What is known of a ruleset: actions from prefixes, counters against events.
