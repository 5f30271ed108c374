//! Rulesets, and an event with its rule.

use super::Form;

pub(super) const FORMS: &[Form] = &[
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
        "Now",
        &[
            ("state", "text", "how it is"),
            ("ruleset?", "Change", "the newest ruleset"),
            ("rule?", "Placed", "the rule"),
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
];
