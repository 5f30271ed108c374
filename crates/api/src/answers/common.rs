//! What answers of more than one subject are, or hold.

use super::Form;

pub(super) const FORMS: &[Form] = &[
    ("Kept", &[("name", "text", "its name")]),
    (
        "Problem",
        &[
            ("type", "text", "what kind of problem, for programs: `urn:bartizan:bad-filter`"),
            ("title", "text", "the kind for people"),
            ("status", "integer", "the HTTP status"),
            ("detail", "text", "this problem for people"),
            ("span?", "Span", "where in the filter"),
            ("proposal?", "text", "what was perhaps meant"),
        ],
    ),
    ("Removed", &[("removed", "text", "the name of what is gone")]),
    ("Span", &[("start", "integer", "the first byte"), ("end", "integer", "the first byte after")]),
    (
        "Stats",
        &[
            ("query", "text", "the name of the question"),
            ("looked_at", "integer", "rows that were looked at"),
            ("bytes", "integer", "bytes read from files"),
            ("files", "integer", "files of which something was read"),
            ("complete", "bool", "whether nothing is missing because a file could not be read"),
            ("took_ms", "integer", "milliseconds since the question came"),
        ],
    ),
];
