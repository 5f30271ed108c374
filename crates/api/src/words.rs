//! What the members of questions mean: a name means the same in all of them.

use serde_json::{Value, json};

const WORDS: &[(&str, &str)] = &[
    ("addresses", "the addresses, each alone"),
    ("after", "go on behind this place: the `cursor` of a page, the `id` of an event of a tail"),
    ("approval", "whether somebody has to approve of each host that enrols with the token"),
    ("at", "the ruleset that was active then; now, if it is left out"),
    ("back", "the path of the page where one goes on afterwards"),
    ("before_since", "the time to compare with; the same length just before, if it is left out"),
    ("before_until", "its end"),
    ("before", "only those before the one of this number"),
    ("bucket_seconds", "how long a piece of time is"),
    ("by", "the columns or fields that a group has in common"),
    ("code", "the code of an invitation, or of the second factor; as the identity provider gave it"),
    ("columns", "which columns, in this order; all, if it is left out"),
    ("comment", "why, for people"),
    ("days", "after how many days it ends; never, if it is left out"),
    ("digest", "SHA-256 of what is before the position, in hexadecimal digits"),
    ("disabled", "whether he is shut out"),
    ("dry_run", "only tell what would be done"),
    ("error", "why the identity provider gave no code"),
    ("error_description", "the same in words"),
    ("explain", "say what the answer was made of: counts that are kept, and rows"),
    ("fields", "the columns or fields, at most 16"),
    ("filter", "which rows, in the filter language; empty: all"),
    ("finish", "let the successor count; otherwise one is made"),
    ("force", "even if live hosts have not learned of it"),
    ("format", "the form of the rows; of an import, what its source is"),
    ("from", "the position where the rows begin"),
    ("generation", "the ruleset of this name, whenever it was active"),
    ("group", "the group that hosts are in which enrol with the token"),
    ("head", "SHA-256 of the first bytes of the source, in hexadecimal digits"),
    ("host", "the name of the host; to change one, also its id, or the first eight digits of it or more"),
    ("hosts", "more hosts than this"),
    ("id", "as it was told"),
    ("iss", "who the identity provider says it is, where it says that"),
    ("kind", "which table the rows are of"),
    ("kinds", "the tables that the source feeds"),
    ("landmarks", "by which the source is known again: digests of what is before some positions"),
    ("limit", "at most so many"),
    ("name", "what it is called"),
    ("named", "the name by which the source is known, instead of its content"),
    ("netns", "the network namespace; empty: that of the host"),
    ("new", "the new password: 12 characters or more"),
    ("networks", "from where hosts may enrol with the token; from anywhere, if it is left out"),
    ("of", "the column whose different values are counted"),
    ("old", "the password until now"),
    ("origin", "when a piece of time begins, for days of a time zone; 1970 in UTC, if it is left out"),
    ("parameters", "what `?` and `$1` stand for"),
    ("partial", "whether something of the source could not be read"),
    ("password", "the password"),
    (
        "payload",
        "of an export, only events that hold bytes of their packet; of people and tokens, whether they see what packets and lines say",
    ),
    ("ports", "more ports than this"),
    ("position", "a place in the source"),
    ("query", "the question in SQL"),
    ("quick", "compare log and files without reading the files"),
    ("rate", "at most so many rows a second; of more, some that lie apart"),
    ("reason", "why, for the receipt"),
    ("repair", "take files that are missing or damaged out of the log; their rows are lost"),
    ("role", "what he may do: `viewer`, `analyst`, `operator` or `admin`"),
    (
        "scope",
        "the filter of the rows that he may see: of fields that every table has, as `group:db`; empty: all",
    ),
    ("replace", "in the place of a host that has the name, which is revoked"),
    ("seq", "the position behind the rows"),
    (
        "session",
        "of an import, who delivers it, as it was told when it was opened; of browsers, as the list names it",
    ),
    ("service", "whether the token is nobody's: it stays when who makes it goes"),
    ("shared", "whether it is for everybody"),
    ("since", "from then on, inside; of a view as a person writes it: `1h`, `today`"),
    ("sources", "also say about how many different sources there are"),
    ("state", "of which sign-in it is, as it came back from the identity provider"),
    ("table", "which table: `events` if it is left out"),
    ("target", "whom it is for: `*`, `group:NAME` or `host:NAME`"),
    ("text", "what the agents' configuration is, in TOML; empty: nothing is said any more"),
    ("to", "an absolute path of the server's machine, outside of its directory"),
    ("token", "a token, in the place of a name and a password"),
    ("totals", "what became of the records, by name"),
    ("ttl_seconds", "seconds until the token is void"),
    ("until", "up to then, not inside"),
    ("user", "the name of who signs in"),
    ("uses", "how many hosts may join with the token"),
    ("variant", "which of several sources with the same first bytes, where that is known"),
    ("version", "the version of this number"),
    ("what", "only this operation"),
    ("who", "only what this one did"),
    ("zone", "the zone of the times of lines: a name of the IANA's, UTC if it is left out"),
];

/// What a member of this name means.
pub(crate) fn of(name: &str) -> Option<&'static str> {
    WORDS.iter().find(|(known, _)| *known == name).map(|(_, words)| *words)
}

/// Adds words to the members of a question, and of what is in it.
pub(crate) fn describe(schema: &mut Value) {
    if let Some(Value::Object(members)) = schema.get_mut("properties") {
        for (name, member) in members {
            describe(member);
            if let (Value::Object(member), Some(words)) = (member, of(name)) {
                member.insert("description".to_owned(), json!(words));
            }
        }
    }
    if let Some(items) = schema.get_mut("items") {
        describe(items);
    }
}
