//! Imports, retention, the lake.

use super::Form;

pub(super) const FORMS: &[Form] = &[
    (
        "Committed",
        &[
            ("committed", "integer", "the position up to which everything is committed"),
            ("done?", "bool", "whether the import has come to its end"),
        ],
    ),
    (
        "ContentCheck",
        &[
            ("position", "integer", "the position"),
            ("digest", "text", "SHA-256 of what is before it, in hexadecimal digits"),
        ],
    ),
    (
        "Hold",
        &[
            ("name", "text", "what it is called"),
            ("table", "text", "of which table"),
            ("filter", "text", "which rows"),
            ("comment", "text", "why"),
            ("created", "time", "since when"),
        ],
    ),
    (
        "Import",
        &[
            ("import", "text", "its identity"),
            ("name", "text", "what its source is called"),
            ("format", "text", "its format"),
            ("state", "text", "`done`, `partial` if something could not be read, `unfinished`"),
            ("position", "integer", "up to where it was delivered"),
            ("committed", "integer", "up to where it is committed in every table"),
            ("totals", "any", "what became of its records in the runs that came to an end"),
            ("started", "time", "when it began"),
            ("touched", "time", "when something of it last came"),
            ("finished", "time?", "when it last came to its end"),
        ],
    ),
    (
        "LakeStatus",
        &[
            ("tables", "list TableStatus", "each table"),
            ("doing", "text?", "what is being done, if anything is"),
            ("*", "any", "whatever else is to be known, by name"),
        ],
    ),
    ("Mark", &[("kind", "text", "which table"), ("position", "integer", "the position")]),
    (
        "OpenImport",
        &[
            ("import", "text", "its identity"),
            ("variant", "integer", "which of several sources with the same first bytes it is"),
            ("session", "integer", "the session that delivers it"),
            ("committed", "integer", "up to where it is committed in every table"),
            ("marks", "list Mark", "up to where each table has it"),
            (
                "checks",
                "list ContentCheck",
                "by which it is known again that it is the same source, in the order of their positions",
            ),
        ],
    ),
    ("Released", &[("released", "text", "the name of the hold")]),
    (
        "Retention",
        &[
            (
                "rules",
                "list RetentionRule",
                "the rules; of each table the first one that means a row counts. A table without one is kept for ever",
            ),
            ("max_bytes", "integer?", "bytes of all tables, above which the oldest rows go"),
        ],
    ),
    (
        "RetentionRule",
        &[
            ("table", "text", "of which table"),
            ("filter", "text", "which rows; nothing means all"),
            ("days", "integer?", "for how many days; for ever, if that is not said"),
        ],
    ),
    (
        "TableStatus",
        &[
            ("table", "text", "its name"),
            ("version", "integer", "the newest entry of its log"),
            ("files", "integer", "files that the log names"),
            ("rows", "integer", "rows in them"),
            ("bytes", "integer", "their bytes"),
            ("bytes_per_row", "number", "bytes per row, of those in files"),
            ("hot_rows", "integer", "rows that no file holds yet"),
            ("removed", "integer", "files that were removed and are not deleted yet"),
        ],
    ),
];
