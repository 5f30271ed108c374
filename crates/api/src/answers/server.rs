//! What helps to ask, and what tells of the server.

use super::Form;

pub(super) const FORMS: &[Form] = &[
    ("Cancelled", &[("cancelled", "text", "the id of the question")]),
    ("Checked", &[("filter", "text", "the filter as it is printed")]),
    (
        "Database",
        &[
            ("file", "text", "its path"),
            ("kind", "text?", "what it is"),
            ("date", "time?", "of which day its data are"),
            ("loaded", "time?", "when it was read"),
            ("ranges", "integer", "how many ranges it has"),
            ("skipped", "integer", "lines that could not be read"),
            ("countries", "bool", "whether it knows countries"),
            ("systems", "bool", "whether it knows autonomous systems"),
            ("problem", "text?", "what is wrong with it"),
        ],
    ),
    ("Databases", &[("files", "list Database", "the databases"), ("sets", "list Set", "the sets")]),
    (
        "Found",
        &[
            ("address", "text", "the address"),
            ("country", "text?", "its country, two letters"),
            ("asn", "integer?", "number of its autonomous system"),
            ("as_name", "text?", "name of its autonomous system"),
            ("sets", "list text", "the sets"),
        ],
    ),
    (
        "Group",
        &[("name", "text", "its name"), ("hosts", "list text", "names of hosts; `*` and `?` are wildcards")],
    ),
    ("Health", &[("status", "text", "ok"), ("version", "text", "the version of the program")]),
    (
        "Question",
        &[
            ("id", "text", "its id"),
            ("path", "text", "below `/api/v1/`"),
            ("question?", "any", "what is asked"),
            ("stats", "Stats", "what it cost"),
        ],
    ),
    (
        "Set",
        &[
            ("name", "text", "its name"),
            ("ranges", "integer", "how many ranges it has"),
            ("problem", "text?", "what is wrong with it"),
        ],
    ),
    (
        "View",
        &[
            ("name", "text", "what it is called"),
            ("table", "text", "of which table"),
            ("filter", "text", "which rows: as the filter is printed"),
            ("columns", "list text", "which columns are shown"),
            ("since", "text?", "from when on"),
            ("shared", "bool", "whether it is for everybody"),
            ("changed", "time", "when it was last changed"),
        ],
    ),
];
