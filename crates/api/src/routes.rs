//! Every operation: where it is, what it is called, what it takes, and what it gives.

use crate::operations::{Answer, Operation, Operations, about};
use crate::{
    ask, authority, enrich, export, facets, fleet, histogram, imports, lake, ledger, logemu, metrics,
    openapi, queries, rulesets, saved, sessions, sql, standing, tail, tokens, unparsed,
};

const ROWS: &str = "a line for each row, an object of its columns that have values; then {\"end\":{rows, complete, \
                    took_ms, stats, problem?}}; a stream without that line is not whole";
const ROWS_PAGED: &str = "a line for each row, an object of its columns that have values; then {\"end\":{rows, complete, \
                          took_ms, cursor?, more, stats, problem?}}; a stream without that line is not whole";
const SQL_ROWS: &str = "a line {\"columns\":[{name, type}]}; a line for each row, an object; then {\"end\":{rows, complete, \
                        took_ms, stats, problem?}}; a stream without that line is not whole";
const TAIL: &str = "events `row` whose data are a row, and each second `stats` whose data are {matched, shown, sampled, \
                    skipped, missed, lag_ms, newest?}, each with the id to go on behind; `end` with a problem";
const WORK: &str = "a line for each thing that is found or done, {\"progress\":text} now and then, and in the end \
                    {\"end\":{complete, problem?}} with sums";

/// Questions about rows: each has a name and is in the list.
pub(crate) fn questions() -> Operations {
    Operations::default()
        .post::<ask::SearchBody, _, _>(
            about(
                "/search",
                "search",
                "rows",
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
                Answer::Json("Counted"),
                "How many rows there are, and what they sum up to.",
            ),
            ask::count,
        )
        .post::<ask::TopBody, _, _>(
            about("/top", "top", "rows", Answer::Json("Groups"), "The largest groups."),
            ask::top,
        )
        .post::<histogram::HistogramBody, _, _>(
            about("/histogram", "histogram", "rows", Answer::Json("Groups"), "How many over time."),
            histogram::histogram,
        )
        .post::<ask::DistinctBody, _, _>(
            about(
                "/distinct",
                "distinct",
                "rows",
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
                Answer::Lines(ROWS),
                "Entries of the ledger of losses, the newest first.",
            ),
            ask::losses,
        )
        .post::<ledger::LedgerBody, _, _>(
            about("/ledger", "ledger", "rows", Answer::Json("Ledger"), "Losses by stage and reason."),
            ledger::ledger,
        )
        .post::<export::ExportBody, _, _>(
            about(
                "/export",
                "export",
                "rows",
                Answer::Forms(ROWS, &[export::ARROW, export::PARQUET, logemu::TEXT]),
                "All rows that match, the oldest first, in a form of choice.",
            ),
            export::export,
        )
        .post::<sql::SqlBody, _, _>(
            about(
                "/sql",
                "sql",
                "rows",
                Answer::Forms(SQL_ROWS, &[sql::CSV, export::ARROW, export::PARQUET]),
                "A question in SQL that only reads.",
            ),
            sql::sql,
        )
        .post::<rulesets::RulesBody, _, _>(
            about(
                "/rules",
                "rules",
                "rulesets",
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
                Answer::Json("Event"),
                "One event, with its rule as it was and as it is.",
            ),
            rulesets::event,
        )
        .post::<tail::TailBody, _, _>(
            about("/tail", "tail", "rows", Answer::Events(TAIL), "Rows as they arrive."),
            tail::tail,
        )
        .post::<unparsed::UnparsedBody, _, _>(
            about(
                "/unparsed",
                "unparsed",
                "rows",
                Answer::Json("Unparsed"),
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
                Answer::Json("Checked"),
                "A filter as it is printed, or what is wrong with it.",
            ),
            ask::check,
        )
        .get(
            about(
                "/queries",
                "queries",
                "queries",
                Answer::Json("list Question"),
                "The questions that are being answered.",
            ),
            queries::list,
        )
        .post::<queries::CancelBody, _, _>(
            about(
                "/queries/cancel",
                "queries_cancel",
                "queries",
                Answer::Json("Cancelled"),
                "Ends a question.",
            ),
            queries::cancel,
        )
        .get(about("/hosts", "hosts", "fleet", Answer::Json("list Host"), "The hosts."), fleet::hosts)
        .get(
            about(
                "/senders",
                "senders",
                "fleet",
                Answer::Json("list Sender"),
                "What senders without an agent delivered.",
            ),
            fleet::senders,
        )
        .post::<standing::Named, _, _>(
            about(
                "/hosts/revoke",
                "hosts_revoke",
                "fleet",
                Answer::Json("HostChange"),
                "Trusts a host no more.",
            ),
            standing::revoke,
        )
        .post::<standing::Named, _, _>(
            about(
                "/hosts/retire",
                "hosts_retire",
                "fleet",
                Answer::Json("HostChange"),
                "Says that a host is no more; its rows are kept, its name is free.",
            ),
            standing::retire,
        )
        .post::<standing::Rename, _, _>(
            about(
                "/hosts/rename",
                "hosts_rename",
                "fleet",
                Answer::Json("HostChange"),
                "Gives a host another name; rows that are there keep the old one.",
            ),
            standing::rename,
        )
        .post::<standing::Approve, _, _>(
            about(
                "/hosts/approve",
                "hosts_approve",
                "fleet",
                Answer::Json("HostChange"),
                "Lets a host in that waits for approval.",
            ),
            standing::approve,
        )
        .get(
            about(
                "/authority",
                "authority",
                "fleet",
                Answer::Json("Authority"),
                "The fleet's authority, its successor, and which hosts know it.",
            ),
            authority::status,
        )
        .post::<authority::Rotate, _, _>(
            about(
                "/authority/rotate",
                "authority_rotate",
                "fleet",
                Answer::Json("Authority"),
                "Makes another authority, or lets it count.",
            ),
            authority::rotate,
        )
        .get(
            about(
                "/tokens",
                "tokens",
                "fleet",
                Answer::Json("list JoinToken"),
                "Join tokens, without their secrets.",
            ),
            tokens::list,
        )
        .post::<tokens::NewToken, _, _>(
            about("/tokens", "make_token", "fleet", Answer::Created("Token"), "Makes a join token."),
            tokens::create,
        )
        .post::<tokens::Revoke, _, _>(
            about(
                "/tokens/revoke",
                "tokens_revoke",
                "fleet",
                Answer::Json("JoinToken"),
                "Makes a join token void.",
            ),
            tokens::revoke,
        )
        .get(
            about(
                "/enrich",
                "enrich",
                "enrichment",
                Answer::Json("Databases"),
                "Databases and sets, with their state.",
            ),
            enrich::status,
        )
        .get(
            about("/sets", "sets", "enrichment", Answer::Json("list Set"), "Networks with names."),
            enrich::sets,
        )
        .get(
            about("/groups", "groups", "enrichment", Answer::Json("list Group"), "Groups of hosts."),
            enrich::groups,
        )
        .post::<enrich::LookupBody, _, _>(
            about(
                "/enrich/lookup",
                "enrich_lookup",
                "enrichment",
                Answer::Json("list Found"),
                "What is known of addresses.",
            ),
            enrich::lookup,
        )
        .get(
            about("/views", "views", "saved", Answer::Json("list View"), "Questions with names."),
            saved::views,
        )
        .post::<saved::NewView, _, _>(
            about("/views", "keep_view", "saved", Answer::Created("Kept"), "Keeps a view."),
            saved::put_view,
        )
        .post::<saved::Named, _, _>(
            about("/views/delete", "views_delete", "saved", Answer::Json("Removed"), "Removes a view."),
            saved::delete_view,
        )
        .post::<imports::NewImport, _, _>(
            about("/imports", "open_import", "imports", Answer::Json("OpenImport"), "Opens an import."),
            imports::open,
        )
        .get(
            about(
                "/imports",
                "imports",
                "imports",
                Answer::Json("list Import"),
                "Imports, the latest first.",
            ),
            imports::list,
        )
        .post::<imports::Finish, _, _>(
            about(
                "/imports/{id}/finish",
                "imports_finish",
                "imports",
                Answer::Json("Committed"),
                "Ends an import.",
            ),
            imports::finish,
        )
        .get(
            about("/lake", "lake", "lake", Answer::Json("LakeStatus"), "What each table holds."),
            lake::status,
        )
        .post::<lake::Verify, _, _>(
            about(
                "/lake/verify",
                "lake_verify",
                "lake",
                Answer::Lines(WORK),
                "Looks whether everything is there and whole.",
            ),
            lake::verify,
        )
        .post::<lake::Compact, _, _>(
            about(
                "/lake/compact",
                "lake_compact",
                "lake",
                Answer::Lines(WORK),
                "Merges files and makes rollups, without the pauses of the background work.",
            ),
            lake::compact,
        )
        .post::<lake::Dry, _, _>(
            about(
                "/lake/vacuum",
                "lake_vacuum",
                "lake",
                Answer::Lines(WORK),
                "Deletes files that nobody needs any more.",
            ),
            lake::vacuum,
        )
        .post::<lake::Dry, _, _>(
            about(
                "/lake/retain",
                "lake_retain",
                "lake",
                Answer::Lines(WORK),
                "Removes rows that are old enough.",
            ),
            lake::retain,
        )
        .post::<lake::Erase, _, _>(
            about(
                "/lake/erase",
                "lake_erase",
                "lake",
                Answer::Lines(WORK),
                "Removes what names some addresses.",
            ),
            lake::erase,
        )
        .get(
            about(
                "/lake/erasures",
                "lake_erasures",
                "lake",
                Answer::Json("list object"),
                "Receipts of what was erased.",
            ),
            lake::erasures,
        )
        .post::<lake::MakeBackup, _, _>(
            about(
                "/lake/backup",
                "lake_backup",
                "lake",
                Answer::Lines(WORK),
                "Copies everything to a folder of the server.",
            ),
            lake::backup,
        )
        .get(
            about("/lake/holds", "lake_holds", "lake", Answer::Json("list Hold"), "What no retention takes."),
            lake::holds,
        )
        .post::<lake::NewHold, _, _>(
            about("/lake/holds", "hold", "lake", Answer::Created("Kept"), "Makes a hold."),
            lake::hold,
        )
        .post::<lake::Release, _, _>(
            about(
                "/lake/holds/release",
                "lake_holds_release",
                "lake",
                Answer::Json("Released"),
                "Ends a hold.",
            ),
            lake::release,
        )
        .get(
            about(
                "/retention",
                "retention",
                "lake",
                Answer::Json("Retention"),
                "What is kept, and for how long.",
            ),
            lake::retention,
        )
        .get(
            about("/metrics", "metrics", "server", Answer::Text, "Numbers for a monitoring system."),
            metrics::metrics,
        )
        .get(
            about("/openapi.json", "openapi", "server", Answer::Json("object"), "This document."),
            openapi::json,
        )
}

/// Sessions, but how one begins.
pub(crate) fn signed_in() -> Operations {
    Operations::default()
        .get(
            about(
                "/session",
                "session",
                "sessions",
                Answer::Json("SignedIn"),
                "The session of this browser.",
            ),
            sessions::current,
        )
        .delete(
            about("/session", "sign_out", "sessions", Answer::Done, "Ends the session of this browser."),
            sessions::sign_out,
        )
        .get(
            about(
                "/sessions",
                "sessions",
                "sessions",
                Answer::Json("list Session"),
                "Browsers that are signed in.",
            ),
            sessions::list,
        )
        .post::<sessions::Revoke, _, _>(
            about(
                "/sessions/revoke",
                "sessions_revoke",
                "sessions",
                Answer::Json("Revoked"),
                "Ends a session.",
            ),
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
            Answer::Json("Committed"),
            "Delivers a batch of an import.",
        ),
        imports::rows,
    )
}

/// The one operation without a token.
fn open() -> Operations {
    Operations::default().get(
        about("/health", "health", "server", Answer::Json("Health"), "Whether the server answers."),
        crate::health,
    )
}

/// Every operation, for the document.
pub(crate) fn operations() -> Vec<Operation> {
    [questions(), others(), signed_in(), sign_in(), deliveries(), open()]
        .into_iter()
        .flat_map(|operations| operations.described)
        .collect()
}
