//! Received batches: deduplicate, complete, keep hot, commit.
