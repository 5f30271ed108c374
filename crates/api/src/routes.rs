//! Every operation: where it is, what it is called, what it takes, and what it gives.

use crate::operations::{Answer, Operation, Operations, about};
use crate::{
    ask, enrich, export, facets, fleet, histogram, imports, lake, ledger, logemu, metrics, openapi, queries,
    rulesets, saved, sessions, sql, tail, unparsed,
};

/// Questions about rows: each has a name and is in the list.
pub(crate) fn questions() -> Operations {
    Operations::default()
        .post::<ask::SearchBody, _, _>(
            about("/search", "search", "rows", Answer::Lines, "Rows, the newest first, page by page."),
            ask::search,
        )
        .post::<ask::CountBody, _, _>(
            about(
                "/count",
                "count",
                "rows",
                Answer::Json,
                "How many rows there are, and what they sum up to.",
            ),
            ask::count,
        )
        .post::<ask::TopBody, _, _>(
            about("/top", "top", "rows", Answer::Json, "The largest groups."),
            ask::top,
        )
        .post::<histogram::HistogramBody, _, _>(
            about("/histogram", "histogram", "rows", Answer::Json, "How many over time."),
            histogram::histogram,
        )
        .post::<ask::DistinctBody, _, _>(
            about("/distinct", "distinct", "rows", Answer::Json, "How many different values each group has."),
            ask::distinct,
        )
        .post::<ask::SpreadBody, _, _>(
            about(
                "/spread",
                "spread",
                "rows",
                Answer::Json,
                "Sources that touched many ports on many hosts.",
            ),
            ask::spread,
        )
        .post::<facets::FacetsBody, _, _>(
            about("/facets", "facets", "rows", Answer::Json, "The values of several fields at once."),
            facets::facets,
        )
        .post::<facets::CompareBody, _, _>(
            about(
                "/compare",
                "compare",
                "rows",
                Answer::Json,
                "The largest groups of a time beside what they were before.",
            ),
            facets::compare,
        )
        .post::<ask::LossesBody, _, _>(
            about(
                "/losses",
                "losses",
                "rows",
                Answer::Lines,
                "Entries of the ledger of losses, the newest first.",
            ),
            ask::losses,
        )
        .post::<ledger::LedgerBody, _, _>(
            about("/ledger", "ledger", "rows", Answer::Json, "Losses by stage and reason."),
            ledger::ledger,
        )
        .post::<export::ExportBody, _, _>(
            about(
                "/export",
                "export",
                "rows",
                Answer::Forms(&[export::ARROW, export::PARQUET, logemu::TEXT]),
                "All rows that match, the oldest first, in a form of choice.",
            ),
            export::export,
        )
        .post::<sql::SqlBody, _, _>(
            about(
                "/sql",
                "sql",
                "rows",
                Answer::Forms(&[sql::CSV, export::ARROW, export::PARQUET]),
                "A question in SQL that only reads.",
            ),
            sql::sql,
        )
        .post::<rulesets::RulesBody, _, _>(
            about(
                "/rules",
                "rules",
                "rulesets",
                Answer::Json,
                "The ruleset of a moment, and who made it active.",
            ),
            rulesets::rules,
        )
        .post::<rulesets::HistoryBody, _, _>(
            about(
                "/rules/history",
                "rules_history",
                "rulesets",
                Answer::Json,
                "The rulesets of a host over time.",
            ),
            rulesets::history,
        )
        .post::<rulesets::HitsBody, _, _>(
            about(
                "/rules/hits",
                "rules_hits",
                "rulesets",
                Answer::Json,
                "What each rule counted and logged.",
            ),
            rulesets::hits,
        )
        .post::<rulesets::EventBody, _, _>(
            about(
                "/event",
                "event",
                "rows",
                Answer::Json,
                "One event, with its rule as it was and as it is.",
            ),
            rulesets::event,
        )
        .post::<tail::TailBody, _, _>(
            about("/tail", "tail", "rows", Answer::Events, "Rows as they arrive."),
            tail::tail,
        )
        .post::<unparsed::UnparsedBody, _, _>(
            about(
                "/unparsed",
                "unparsed",
                "rows",
                Answer::Json,
                "Events that were not fully understood, by host, sender and shape.",
            ),
            unparsed::unparsed,
        )
}

/// Everything else that wants a token.
pub(crate) fn others() -> Operations {
    Operations::default()
        .post::<ask::CheckBody, _, _>(
            about(
                "/filter/check",
                "filter_check",
                "rows",
                Answer::Json,
                "A filter as it is printed, or what is wrong with it.",
            ),
            ask::check,
        )
        .get(
            about("/queries", "queries", "queries", Answer::Json, "The questions that are being answered."),
            queries::list,
        )
        .post::<queries::CancelBody, _, _>(
            about("/queries/cancel", "queries_cancel", "queries", Answer::Json, "Ends a question."),
            queries::cancel,
        )
        .get(about("/hosts", "hosts", "fleet", Answer::Json, "The hosts."), fleet::hosts)
        .get(
            about("/senders", "senders", "fleet", Answer::Json, "What senders without an agent delivered."),
            fleet::senders,
        )
        .post::<fleet::NewToken, _, _>(
            about("/tokens", "tokens", "fleet", Answer::Created, "Makes a join token."),
            fleet::create_token,
        )
        .get(
            about("/enrich", "enrich", "enrichment", Answer::Json, "Databases and sets, with their state."),
            enrich::status,
        )
        .get(about("/sets", "sets", "enrichment", Answer::Json, "Networks with names."), enrich::sets)
        .get(about("/groups", "groups", "enrichment", Answer::Json, "Groups of hosts."), enrich::groups)
        .post::<enrich::LookupBody, _, _>(
            about(
                "/enrich/lookup",
                "enrich_lookup",
                "enrichment",
                Answer::Json,
                "What is known of addresses.",
            ),
            enrich::lookup,
        )
        .get(about("/views", "views", "saved", Answer::Json, "Questions with names."), saved::views)
        .post::<saved::NewView, _, _>(
            about("/views", "keep_view", "saved", Answer::Created, "Keeps a view."),
            saved::put_view,
        )
        .post::<saved::Named, _, _>(
            about("/views/delete", "views_delete", "saved", Answer::Json, "Removes a view."),
            saved::delete_view,
        )
        .post::<imports::NewImport, _, _>(
            about("/imports", "open_import", "imports", Answer::Json, "Opens an import."),
            imports::open,
        )
        .get(
            about("/imports", "imports", "imports", Answer::Json, "Imports, the latest first."),
            imports::list,
        )
        .post::<imports::Finish, _, _>(
            about("/imports/{id}/finish", "imports_finish", "imports", Answer::Json, "Ends an import."),
            imports::finish,
        )
        .get(about("/lake", "lake", "lake", Answer::Json, "What each table holds."), lake::status)
        .post::<lake::Verify, _, _>(
            about(
                "/lake/verify",
                "lake_verify",
                "lake",
                Answer::Lines,
                "Looks whether everything is there and whole.",
            ),
            lake::verify,
        )
        .post::<lake::Compact, _, _>(
            about(
                "/lake/compact",
                "lake_compact",
                "lake",
                Answer::Lines,
                "Merges files and makes rollups, without the pauses of the background work.",
            ),
            lake::compact,
        )
        .post::<lake::Dry, _, _>(
            about(
                "/lake/vacuum",
                "lake_vacuum",
                "lake",
                Answer::Lines,
                "Deletes files that nobody needs any more.",
            ),
            lake::vacuum,
        )
        .post::<lake::Dry, _, _>(
            about("/lake/retain", "lake_retain", "lake", Answer::Lines, "Removes rows that are old enough."),
            lake::retain,
        )
        .post::<lake::Erase, _, _>(
            about("/lake/erase", "lake_erase", "lake", Answer::Lines, "Removes what names some addresses."),
            lake::erase,
        )
        .get(
            about("/lake/erasures", "lake_erasures", "lake", Answer::Json, "Receipts of what was erased."),
            lake::erasures,
        )
        .post::<lake::MakeBackup, _, _>(
            about(
                "/lake/backup",
                "lake_backup",
                "lake",
                Answer::Lines,
                "Copies everything to a folder of the server.",
            ),
            lake::backup,
        )
        .get(
            about("/lake/holds", "lake_holds", "lake", Answer::Json, "What no retention takes."),
            lake::holds,
        )
        .post::<lake::NewHold, _, _>(
            about("/lake/holds", "hold", "lake", Answer::Created, "Makes a hold."),
            lake::hold,
        )
        .post::<lake::Release, _, _>(
            about("/lake/holds/release", "lake_holds_release", "lake", Answer::Json, "Ends a hold."),
            lake::release,
        )
        .get(
            about("/retention", "retention", "lake", Answer::Json, "What is kept, and for how long."),
            lake::retention,
        )
        .get(
            about("/metrics", "metrics", "server", Answer::Text, "Numbers for a monitoring system."),
            metrics::metrics,
        )
        .get(about("/openapi.json", "openapi", "server", Answer::Json, "This document."), openapi::json)
}

/// Sessions, but how one begins.
pub(crate) fn signed_in() -> Operations {
    Operations::default()
        .get(
            about("/session", "session", "sessions", Answer::Json, "The session of this browser."),
            sessions::current,
        )
        .delete(
            about("/session", "sign_out", "sessions", Answer::Done, "Ends the session of this browser."),
            sessions::sign_out,
        )
        .get(
            about("/sessions", "sessions", "sessions", Answer::Json, "Browsers that are signed in."),
            sessions::list,
        )
        .post::<sessions::Revoke, _, _>(
            about("/sessions/revoke", "sessions_revoke", "sessions", Answer::Json, "Ends a session."),
            sessions::revoke,
        )
}

/// The name of the operation that everybody may ask.
pub(crate) const SIGN_IN: &str = "sign_in";

/// How a session begins.
pub(crate) fn sign_in() -> Operations {
    Operations::default().post::<sessions::SignIn, _, _>(
        about(
            "/session",
            SIGN_IN,
            "sessions",
            Answer::Done,
            "Gives a token, and gets the cookie of a session.",
        ),
        sessions::sign_in,
    )
}

/// The one question that holds rows.
pub(crate) fn deliveries() -> Operations {
    Operations::default().deliver::<imports::Piece, _, _>(
        about(
            "/imports/{id}/rows",
            "imports_rows",
            "imports",
            Answer::Json,
            "Delivers a batch of an import.",
        ),
        imports::rows,
    )
}

/// The one operation without a token.
fn open() -> Operations {
    Operations::default()
        .get(about("/health", "health", "server", Answer::Json, "Whether the server answers."), crate::health)
}

/// Every operation, for the document.
pub(crate) fn operations() -> Vec<Operation> {
    [questions(), others(), signed_in(), sign_in(), deliveries(), open()]
        .into_iter()
        .flat_map(|operations| operations.described)
        .collect()
}
