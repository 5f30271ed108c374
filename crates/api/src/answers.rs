//! What JSON answers look like: for each form its members, their types and what they mean.
//!
//! A type is `text`, `time` (RFC 3339), `integer`, `number`, `bool`, `object` (of columns), `any`, another form, or
//! `list` of one of them; with `?` behind it it may be null. A member with `?` behind its name may be absent; `*` are
//! members of other names. That answers are so is tested with every operation of a real server: no member that is not
//! here, and none of these absent.

use serde_json::{Map, Value, json};

type Members = &'static [(&'static str, &'static str, &'static str)];

/// Every form, by its name.
const FORMS: &[(&str, Members)] = &[
    (
        "Around",
        &[
            ("since", "time", "from"),
            ("until", "time", "to"),
            ("packets", "integer", "packets of the same source within that time, on the whole fleet"),
            ("rows", "integer", "events of it"),
            ("hosts", "list object", "the hosts that logged it, those of most packets first"),
            ("dports", "list object", "the ports that it wanted"),
            (
                "flows",
                "list object",
                "entries of connections with the same ends, in either direction, from an hour before to a day after",
            ),
        ],
    ),
    (
        "Authority",
        &[
            ("pin", "text", "the authority that counts: the first digits of its certificate's hash"),
            ("next", "text?", "its successor, while hosts learn of it"),
            ("renewed", "integer", "live hosts whose certificate is of the newest"),
            ("left", "integer", "live hosts that have not learned of the successor"),
            ("names", "list text", "some of them"),
        ],
    ),
    ("Cancelled", &[("cancelled", "text", "the id of the question")]),
    (
        "Change",
        &[
            ("time", "time", "when"),
            ("host", "text", "the host"),
            ("netns", "text", "the network namespace; empty: that of the host"),
            ("generation", "text", "the name of the ruleset"),
            ("kernel_generation?", "integer", "the kernel's number of it"),
            ("pid?", "integer", "the process that loaded it"),
            ("process?", "text", "its name"),
        ],
    ),
    ("Checked", &[("filter", "text", "the filter as it is printed")]),
    (
        "Configuration",
        &[
            ("version", "integer", "its number; no two versions of whatever target have the same"),
            ("target", "text", "whom it is for: `*`, `group:NAME` or `host:NAME`"),
            ("text", "text", "what it says, in TOML"),
            ("who", "text", "who wrote it"),
            ("comment", "text", "why"),
            ("at", "time", "when"),
            ("counts", "bool", "whether it is the newest of its target"),
            ("hosts", "integer", "for how many hosts it is, by the groups of today"),
        ],
    ),
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
        "Event",
        &[
            ("event", "object", "the event, an object of its columns"),
            (
                "rule?",
                "Then",
                "the rule as it was when it logged this; absent where nobody can tell which one did",
            ),
            ("candidates?", "list any", "where several rules could have logged it: which"),
            (
                "in_flight?",
                "list any",
                "the generations under any of which it was logged, where the rules changed at that moment",
            ),
            ("now", "Now", "what became of the rule"),
            (
                "context?",
                "Around",
                "what else its source did, and its connection; absent where the event has no source",
            ),
            ("stats", "Stats", "what it cost"),
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
    ("Health", &[("status", "text", "ok"), ("version", "text", "the version of the program")]),
    (
        "History",
        &[
            ("generations", "list Change", "the rulesets, the newest first"),
            ("stats", "Stats", "what it cost"),
        ],
    ),
    (
        "Hits",
        &[
            ("ruleset", "Change", "the ruleset"),
            ("rules", "list RuleHits", "every rule of the newest ruleset of the window, in order"),
            (
                "gone",
                "list RuleHits",
                "rules that counted or logged in the window and are not in that ruleset",
            ),
            ("unattributed", "integer", "packets of events of which nobody can tell the rule"),
            ("stats", "Stats", "what it cost"),
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
        "Host",
        &[
            ("name", "text", "its label"),
            ("id", "text?", "its identity, if it has an agent"),
            ("reports", "text", "how it reports: `agent`, `syslog`, …"),
            ("first_seen", "time", "when it enrolled, or the first of its messages came"),
            ("last_contact", "time?", "when it last sent anything"),
            ("last_event", "time?", "the time of its latest event"),
            ("events", "integer", "packets of its events, of the last day"),
            ("lost", "integer", "packets lost on the way to events, from the ledger, of the last day"),
            ("cert_not_after", "time?", "when its certificate ends"),
            (
                "clock_offset_ms",
                "integer?",
                "how far its clock is ahead of the server's, in milliseconds; behind where negative",
            ),
            ("clone_seen", "time?", "when another machine with its key was last turned away"),
            ("version", "text?", "version of its agent, as it enrolled or renewed its certificate"),
            ("rate", "number", "events a second, over the last minute or so"),
            ("spool_bytes", "integer?", "bytes of its spool's files, as it said with its latest batch"),
            ("spool_batches", "integer?", "batches that waited behind that one"),
            ("spool_oldest", "time?", "when the oldest of them was closed"),
            ("group", "text?", "the group that its token put it into"),
            ("waiting_for", "text?", "why it waits for approval, if it does"),
            ("refused", "integer", "how much of it was refused since the server started"),
            ("refused_at", "time?", "when something last was"),
            ("refused_why", "text?", "why: the kind, and words"),
            (
                "config",
                "text?",
                "how far it is with its configuration: `as wanted`, `not yet`, or `refused`; none, if its agent has said nothing of it since the server started",
            ),
            (
                "config_wanted",
                "list integer",
                "the versions that are for it, the later ones over those before",
            ),
            ("config_has", "list integer", "those that count there"),
            ("config_why", "text?", "why it refused what it should have"),
            ("config_held", "list text", "keys that it decides itself"),
            ("config_after_restart", "list text", "keys that count when its agent is started anew"),
            ("state", "text", "`online`, `offline`, `waiting`, `revoked`, `retired`, or `no agent`"),
        ],
    ),
    (
        "HostChange",
        &[
            ("id", "text", "which host"),
            ("was", "HostStanding", "as it was"),
            ("now", "HostStanding", "as it is"),
        ],
    ),
    (
        "HostStanding",
        &[
            ("name", "text", "its label"),
            ("state", "text", "`in`, `waiting`, `revoked`, or `retired`"),
            ("group", "text?", "its group"),
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
        "JoinToken",
        &[
            ("id", "text", "what it is called: the first digits of its secret's hash"),
            ("state", "text", "`good`, `expired`, `used`, or `revoked`"),
            ("comment", "text", "what it is for"),
            ("group", "text?", "the group that hosts are in which enrol with it"),
            ("networks", "list text", "from where hosts may enrol with it; from anywhere, if there are none"),
            ("approval", "bool", "whether somebody has to approve of each"),
            ("created", "time", "when it was made"),
            ("expires", "time", "when its time is over"),
            ("uses_left", "integer", "how many hosts it still lets in"),
            ("used", "integer", "how many it has let in"),
            ("refused", "integer", "how often somebody came with it from elsewhere than it is for"),
        ],
    ),
    ("Kept", &[("name", "text", "its name")]),
    (
        "LakeStatus",
        &[
            ("tables", "list TableStatus", "each table"),
            ("doing", "text?", "what is being done, if anything is"),
            ("*", "any", "whatever else is to be known, by name"),
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
    ("Mark", &[("kind", "text", "which table"), ("position", "integer", "the position")]),
    (
        "Now",
        &[
            ("state", "text", "how it is"),
            ("ruleset?", "Change", "the newest ruleset"),
            ("rule?", "Placed", "the rule"),
        ],
    ),
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
    (
        "Others",
        &[
            ("rows", "integer", "how many rows there are"),
            ("*", "integer", "sums of the table: `packets` of events"),
        ],
    ),
    (
        "Placed",
        &[
            ("table", "text", "its table"),
            ("chain", "text", "its chain"),
            ("handle", "integer", "its handle in the kernel"),
            ("position", "integer", "its place in the chain, from 1"),
            ("text", "text", "its text"),
            ("comment?", "text", "its comment"),
        ],
    ),
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
    (
        "Question",
        &[
            ("id", "text", "its id"),
            ("path", "text", "below `/api/v1/`"),
            ("question?", "any", "what is asked"),
            ("stats", "Stats", "what it cost"),
        ],
    ),
    ("Released", &[("released", "text", "the name of the hold")]),
    ("Removed", &[("removed", "text", "the name of what is gone")]),
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
        "RuleHits",
        &[
            ("table", "text", "its table"),
            ("chain", "text", "its chain"),
            ("handle?", "integer", "its handle in the kernel"),
            ("position?", "integer", "its place in the chain, from 1"),
            ("rule", "text", "the rule"),
            ("counted?", "integer", "packets that its counter counted; absent where it has none"),
            ("bytes?", "integer", "bytes that its counter counted"),
            ("logged", "integer", "packets of its events"),
            ("coverage?", "number", "logged of counted, in percent"),
            ("last?", "time", "the time of the last"),
            ("state", "text", "`hit`, `never`, or `unknown` for a rule that neither counts nor logs"),
        ],
    ),
    (
        "Rules",
        &[
            ("time", "time", "when"),
            ("host", "text", "the host"),
            ("netns", "text", "the network namespace; empty: that of the host"),
            ("generation", "text", "the name of the ruleset"),
            ("kernel_generation?", "integer", "the kernel's number of it"),
            ("pid?", "integer", "the process that loaded it"),
            ("process?", "text", "its name"),
            ("forms", "list Text", "its texts"),
            ("notes", "list text", "what is to be known of them"),
            ("stats", "Stats", "what it cost"),
        ],
    ),
    (
        "Sender",
        &[
            ("host", "text", "the host that wrote it; `*` for those that there was no room to tell apart"),
            ("sender", "text", "who delivered it: an address, or the name in a certificate"),
            ("source", "text", "how it came: `syslog`, `ulogd`, …"),
            ("messages", "integer", "messages that came"),
            ("rows", "integer", "of them, events, flows and counters that were understood"),
            ("unparsed", "integer", "events that were not fully understood"),
            ("other", "integer", "messages of other services"),
            ("kept", "integer", "of those, kept in the table `lines`"),
            ("cut", "integer", "messages that were cut because they were too long"),
            ("over", "integer", "messages that were dropped because there were more than the rate allows"),
            ("first_seen", "time", "when the first came"),
            ("last_seen", "time", "when the last came"),
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
    ("Text", &[("form", "text", "as which tool prints it"), ("text", "text", "its text")]),
    (
        "Then",
        &[
            ("table", "text?", "its table"),
            ("chain", "text?", "its chain"),
            ("handle", "integer?", "its handle in the kernel"),
            ("text", "text", "its text"),
            (
                "position?",
                "integer",
                "its place in the chain, from 1, where it stands in the listing of its generation",
            ),
            ("comment?", "text", "its comment"),
            ("ruleset?", "Change", "when its ruleset became active, and who made it so"),
        ],
    ),
    (
        "Token",
        &[
            ("token", "text", "the token, as it is typed; nobody can tell it again"),
            ("id", "text", "what it is called"),
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
    ("Revoked", &[("revoked", "text", "the name of the session, or of the token")]),
    (
        "Me",
        &[
            ("name", "text", "who: a user, `token:NAME`, or `local`"),
            ("kind", "text", "`user`, `token` or `local`"),
            ("role", "text", "what he may do: `viewer`, `analyst`, `operator` or `admin`"),
            ("scope?", "text", "the filter of the rows that he may see; absent: all"),
            ("payload", "bool", "whether he may see what packets and lines say"),
            ("totp", "bool", "whether he has a second factor"),
            ("provided", "bool", "whether he signs in by the identity provider, and has no password"),
        ],
    ),
    (
        "Enrolling",
        &[
            ("secret", "text", "the secret of the second factor, in base32"),
            ("uri", "text", "the same for an app, `otpauth://…`"),
        ],
    ),
    (
        "User",
        &[
            ("name", "text", "what he is called"),
            ("role", "text", "what he may do"),
            ("scope", "text?", "the filter of the rows that he may see; null: all"),
            ("payload", "bool", "whether he may see what packets and lines say"),
            ("totp", "bool", "whether he has a second factor"),
            ("created", "time", "when he was added"),
            ("last_sign_in", "time?", "when he signed in last"),
            ("disabled", "bool", "whether he is shut out"),
            ("invited_until", "time?", "until when he may choose a password"),
            ("provider", "text?", "the identity provider by which he signs in, instead of with a password"),
        ],
    ),
    ("Provider", &[("name", "text?", "what it is called; null: there is none")]),
    ("Leaving", &[("location", "text", "the address at the provider, where the browser goes now")]),
    ("Returned", &[("back", "text", "the path of the page where it was begun")]),
    (
        "Invitation",
        &[
            ("name", "text", "who"),
            ("code", "text", "the code with which he chooses a password"),
            ("until", "time", "until when it is good"),
        ],
    ),
    (
        "AccessToken",
        &[
            ("name", "text", "what it is called"),
            ("user", "text?", "whose it is; null: a service's"),
            ("role", "text", "what it may do"),
            ("scope", "text?", "the filter of the rows that it may see; null: all"),
            ("payload", "bool", "whether it may see what packets and lines say"),
            ("created", "time", "when it was made"),
            ("expires", "time?", "until when it is good"),
            ("used", "time?", "when it was last used, about"),
            ("comment", "text", "what it is for"),
        ],
    ),
    (
        "MadeToken",
        &[("name", "text", "what it is called"), ("token", "text", "the token, which is not told again")],
    ),
    (
        "Audit",
        &[
            ("entries", "list AuditEntry", "the entries, the latest first"),
            ("more", "bool", "whether there may be older ones"),
        ],
    ),
    (
        "AuditEntry",
        &[
            ("id", "integer", "its number; none is left out"),
            ("at", "time", "when"),
            ("who", "text", "who did it"),
            ("address", "text?", "from where"),
            ("what", "text", "what: the name of the operation"),
            ("about", "any", "what was asked for, or of what"),
            ("old", "any", "as it was"),
            ("new", "any", "as it is since"),
        ],
    ),
    (
        "Verified",
        &[
            ("entries", "integer", "entries that are right"),
            ("whole", "bool", "whether all are"),
            ("broken_at?", "integer", "the first that is not"),
            ("head", "text", "the hash of the last that is right, in hexadecimal digits"),
        ],
    ),
    (
        "Session",
        &[
            ("name", "text", "what it is called"),
            ("who", "text", "whose it is"),
            ("since", "time", "when it was made"),
            ("used", "time", "when it was last used"),
            ("until", "time", "when it ends in any case"),
            ("address", "text", "where it was made from"),
            ("browser", "text", "what the browser calls itself"),
        ],
    ),
    (
        "SignedIn",
        &[
            ("name", "text", "what the session is called"),
            ("who", "text", "whose it is"),
            ("since", "time", "when it was made"),
            ("until", "time", "when it ends in any case"),
        ],
    ),
];

/// The schemas of all forms, for `components/schemas`.
pub(crate) fn schemas() -> Map<String, Value> {
    FORMS.iter().map(|(name, members)| ((*name).to_owned(), object(members))).collect()
}

fn object(members: Members) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let mut others = None;
    for (name, form, words) in members {
        let mut schema = schema(form);
        if schema["$ref"].is_null() {
            schema["description"] = (*words).into();
        } else {
            schema = json!({ "allOf": [schema], "description": words });
        }
        match name.strip_suffix('?') {
            _ if *name == "*" => others = Some(schema),
            Some(name) => drop(properties.insert(name.to_owned(), schema)),
            None => {
                required.push(*name);
                properties.insert((*name).to_owned(), schema);
            }
        }
    }
    let mut object = json!({ "type": "object", "properties": properties, "required": required });
    if let Some(others) = others {
        object["additionalProperties"] = others;
    }
    object
}

/// The schema of a type as it is written above.
pub(crate) fn schema(form: &str) -> Value {
    if let Some(form) = form.strip_suffix('?') {
        let mut schema = schema(form);
        schema["type"] = json!([schema["type"], "null"]);
        return schema;
    }
    if let Some(items) = form.strip_prefix("list ") {
        return json!({ "type": "array", "items": schema(items) });
    }
    match form {
        "text" => json!({ "type": "string" }),
        "time" => json!({ "type": "string", "format": "date-time" }),
        "bool" => json!({ "type": "boolean" }),
        "integer" | "number" | "object" => json!({ "type": form }),
        "any" => json!({}),
        name => {
            debug_assert!(FORMS.iter().any(|(known, _)| *known == name), "{name}");
            json!({ "$ref": format!("#/components/schemas/{name}") })
        }
    }
}
