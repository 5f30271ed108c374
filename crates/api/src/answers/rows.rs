//! Rows, sums of them, and what is lost or not understood.

use super::Form;

pub(super) const FORMS: &[Form] = &[
    (
        "Counted",
        &[
            ("rows", "integer", "how many rows there are"),
            ("*", "integer", "sums of the table: `packets` of events"),
            ("took_ms", "integer", "milliseconds that it took"),
            ("plan?", "text", "what it was made of, where that was asked for"),
            ("exact?", "bool", "false, where the window cuts counts of rows that are gone"),
            (
                "sources?",
                "SourcesAbout",
                "about how many different sources events have, where that was asked for",
            ),
            ("complete?", "bool", "false: rows are missing"),
            ("problem?", "Problem", "which rows"),
            ("stats", "Stats", "what it cost"),
        ],
    ),
    (
        "Entry",
        &[
            ("stage", "text", "where"),
            ("reason", "text", "why"),
            ("kind", "text", "of which table's rows; `events` where the entry says none"),
            ("count", "integer", "what was lost"),
            ("rows", "integer", "entries of the ledger"),
            ("last", "time", "the time of the latest"),
        ],
    ),
    (
        "Facet",
        &[
            ("field", "text", "as it was asked for"),
            (
                "values",
                "list object",
                "the values with the largest sums; one without `value` counts the rows that have none",
            ),
            ("other", "Others", "all other values together"),
            ("distinct?", "integer", "how many values there are, where that is known"),
        ],
    ),
    (
        "Facets",
        &[
            ("facets", "list Facet", "the facets, in the order in which they were asked for"),
            ("rows", "integer", "all rows that match"),
            ("*", "integer", "sums of the table: `packets` of events"),
            ("exact?", "bool", "false, where the window cuts counts of rows that are gone"),
            ("complete?", "bool", "false: rows are missing"),
            ("problem?", "Problem", "which rows"),
            ("stats", "Stats", "what it cost"),
        ],
    ),
    (
        "Groups",
        &[
            (
                "columns",
                "list text",
                "the members of each row, in their order: what it is grouped by, then its sums",
            ),
            ("rows", "list object", "the groups, the largest first; pieces of time in their order"),
            ("took_ms", "integer", "milliseconds that it took"),
            ("plan?", "text", "what it was made of, where that was asked for"),
            ("exact?", "bool", "false, where the window cuts counts of rows that are gone"),
            ("complete?", "bool", "false: rows are missing"),
            ("problem?", "Problem", "which rows"),
            ("stats", "Stats", "what it cost"),
        ],
    ),
    (
        "Ledger",
        &[
            ("entries", "list Entry", "each stage, reason and kind of row, the largest first"),
            ("count", "integer", "all of them"),
            ("stats", "Stats", "what it cost"),
        ],
    ),
    (
        "Others",
        &[
            ("rows", "integer", "how many rows there are"),
            ("*", "integer", "sums of the table: `packets` of events"),
        ],
    ),
    (
        "Shape",
        &[
            ("host", "text", "the host"),
            ("sender", "text?", "who delivered it"),
            ("shape", "text", "what it looks like"),
            ("events", "integer", "how many events"),
            ("first", "time", "the time of the first"),
            ("last", "time", "the time of the last"),
            ("example", "text", "one of them"),
            ("id", "text", "its id"),
        ],
    ),
    (
        "SourcesAbout",
        &[
            ("about", "integer", "the estimate"),
            ("least", "integer", "between this"),
            ("most", "integer", "and this in 95 of 100 cases"),
        ],
    ),
    (
        "Unparsed",
        &[
            ("groups", "list Shape", "the groups, the largest first"),
            ("events", "integer", "events, of all groups"),
            ("more", "integer", "events of groups that are not in the answer"),
            ("complete", "bool", "whether every event was looked at"),
            ("took_ms", "integer", "milliseconds that it took"),
            ("stats", "Stats", "what it cost"),
        ],
    ),
];
