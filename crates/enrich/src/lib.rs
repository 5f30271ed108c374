//! What is known of an address: its country and autonomous system, and the networks that have names.
