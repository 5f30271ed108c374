//! Old logs, captures and exports as records.
