//! Questions about rows.

use crate::needs::Needs;
use crate::operations::{Answer, Operations, about};
use crate::{ask, export, facets, histogram, ledger, logemu, rulesets, sql, tail, unparsed};
use bartizan_model::Role;

const ROWS: &str = "a line for each row, an object of its columns that have values; then {\"end\":{rows, complete, \
                    took_ms, stats, problem?}}; a stream without that line is not whole";
const ROWS_PAGED: &str = "a line for each row, an object of its columns that have values; then {\"end\":{rows, complete, \
                          took_ms, cursor?, more, stats, problem?}}; a stream without that line is not whole";
const SQL_ROWS: &str = "a line {\"columns\":[{name, type}]}; a line for each row, an object; then {\"end\":{rows, complete, \
                        took_ms, stats, problem?}}; a stream without that line is not whole";
const TAIL: &str = "events `row` whose data are a row, and each second `stats` whose data are {matched, shown, sampled, \
                    skipped, missed, lag_ms, newest?}, each with the id to go on behind; `end` with a problem";

/// Questions about rows: each has a name and is in the list.
pub(crate) fn questions() -> Operations {
    Operations::default()
        .post::<ask::SearchBody, _, _>(
            about(
                "/search",
                "search",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Lines(ROWS_PAGED),
                "Rows, the newest first, page by page.",
            ),
            ask::search,
        )
        .post::<ask::CountBody, _, _>(
            about(
                "/count",
                "count",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Json("Counted"),
                "How many rows there are, and what they sum up to.",
            ),
            ask::count,
        )
        .post::<ask::TopBody, _, _>(
            about(
                "/top",
                "top",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Json("Groups"),
                "The largest groups.",
            ),
            ask::top,
        )
        .post::<histogram::HistogramBody, _, _>(
            about(
                "/histogram",
                "histogram",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Json("Groups"),
                "How many over time.",
            ),
            histogram::histogram,
        )
        .post::<ask::DistinctBody, _, _>(
            about(
                "/distinct",
                "distinct",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Json("Groups"),
                "How many different values each group has.",
            ),
            ask::distinct,
        )
        .post::<ask::SpreadBody, _, _>(
            about(
                "/spread",
                "spread",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Json("Groups"),
                "Sources that touched many ports on many hosts.",
            ),
            ask::spread,
        )
        .post::<facets::FacetsBody, _, _>(
            about(
                "/facets",
                "facets",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Json("Facets"),
                "The values of several fields at once.",
            ),
            facets::facets,
        )
        .post::<facets::CompareBody, _, _>(
            about(
                "/compare",
                "compare",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Json("Groups"),
                "The largest groups of a time beside what they were before.",
            ),
            facets::compare,
        )
        .post::<ask::LossesBody, _, _>(
            about(
                "/losses",
                "losses",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Lines(ROWS),
                "Entries of the ledger of losses, the newest first.",
            ),
            ask::losses,
        )
        .post::<ledger::LedgerBody, _, _>(
            about(
                "/ledger",
                "ledger",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Json("Ledger"),
                "Losses by stage and reason.",
            ),
            ledger::ledger,
        )
        .post::<export::ExportBody, _, _>(
            about(
                "/export",
                "export",
                "rows",
                Needs::Role(Role::Analyst),
                Answer::Forms(ROWS, &[export::ARROW, export::PARQUET, logemu::TEXT]),
                "All rows that match, the oldest first, in a form of choice.",
            )
            .noted(),
            export::export,
        )
        .post::<sql::SqlBody, _, _>(
            about(
                "/sql",
                "sql",
                "rows",
                Needs::Role(Role::Analyst),
                Answer::Forms(SQL_ROWS, &[sql::CSV, export::ARROW, export::PARQUET]),
                "A question in SQL that only reads.",
            )
            .noted(),
            sql::sql,
        )
        .post::<rulesets::RulesBody, _, _>(
            about(
                "/rules",
                "rules",
                "rulesets",
                Needs::Role(Role::Viewer),
                Answer::Json("Rules"),
                "The ruleset of a moment, and who made it active.",
            ),
            rulesets::rules,
        )
        .post::<rulesets::HistoryBody, _, _>(
            about(
                "/rules/history",
                "rules_history",
                "rulesets",
                Needs::Role(Role::Viewer),
                Answer::Json("History"),
                "The rulesets of a host over time.",
            ),
            rulesets::history,
        )
        .post::<rulesets::HitsBody, _, _>(
            about(
                "/rules/hits",
                "rules_hits",
                "rulesets",
                Needs::Role(Role::Viewer),
                Answer::Json("Hits"),
                "What each rule counted and logged.",
            ),
            rulesets::hits,
        )
        .post::<rulesets::EventBody, _, _>(
            about(
                "/event",
                "event",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Json("Event"),
                "One event, with its rule as it was and as it is.",
            ),
            rulesets::event,
        )
        .post::<tail::TailBody, _, _>(
            about(
                "/tail",
                "tail",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Events(TAIL),
                "Rows as they arrive.",
            ),
            tail::tail,
        )
        .post::<unparsed::UnparsedBody, _, _>(
            about(
                "/unparsed",
                "unparsed",
                "rows",
                Needs::Role(Role::Viewer),
                Answer::Json("Unparsed"),
                "Events that were not fully understood, by host, sender and shape.",
            ),
            unparsed::unparsed,
        )
}
