//! Every operation: where it is, what it is called, what it takes, and what it gives.

use crate::needs::Needs;
use crate::operations::{Answer, Operation, Operations, about};
use crate::{
    ask, audit, authority, enrich, export, facets, fleet, histogram, imports, lake, ledger, logemu, metrics,
    openapi, people, queries, rulesets, saved, sessions, sql, standing, tail, tokens, unparsed,
};
use bartizan_model::Role;
use bartizan_people::{Change, NewAccess, NewUser};

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

/// Everything else that wants a token.
pub(crate) fn others() -> Operations {
    Operations::default()
        .post::<ask::CheckBody, _, _>(
            about(
                "/filter/check",
                "filter_check",
                "rows",
                Needs::Role(Role::Viewer),
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
                Needs::Role(Role::Viewer),
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
                Needs::Role(Role::Viewer),
                Answer::Json("Cancelled"),
                "Ends a question.",
            )
            .noted(),
            queries::cancel,
        )
        .get(
            about(
                "/hosts",
                "hosts",
                "fleet",
                Needs::Role(Role::Viewer),
                Answer::Json("list Host"),
                "The hosts.",
            ),
            fleet::hosts,
        )
        .get(
            about(
                "/senders",
                "senders",
                "fleet",
                Needs::Role(Role::Viewer),
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
                Needs::Whole(Role::Operator),
                Answer::Json("HostChange"),
                "Trusts a host no more.",
            )
            .noted(),
            standing::revoke,
        )
        .post::<standing::Named, _, _>(
            about(
                "/hosts/retire",
                "hosts_retire",
                "fleet",
                Needs::Whole(Role::Operator),
                Answer::Json("HostChange"),
                "Says that a host is no more; its rows are kept, its name is free.",
            )
            .noted(),
            standing::retire,
        )
        .post::<standing::Rename, _, _>(
            about(
                "/hosts/rename",
                "hosts_rename",
                "fleet",
                Needs::Whole(Role::Operator),
                Answer::Json("HostChange"),
                "Gives a host another name; rows that are there keep the old one.",
            )
            .noted(),
            standing::rename,
        )
        .post::<standing::Approve, _, _>(
            about(
                "/hosts/approve",
                "hosts_approve",
                "fleet",
                Needs::Whole(Role::Operator),
                Answer::Json("HostChange"),
                "Lets a host in that waits for approval.",
            )
            .noted(),
            standing::approve,
        )
        .get(
            about(
                "/authority",
                "authority",
                "fleet",
                Needs::Whole(Role::Viewer),
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
                Needs::Whole(Role::Admin),
                Answer::Json("Authority"),
                "Makes another authority, or lets it count.",
            )
            .noted(),
            authority::rotate,
        )
        .get(
            about(
                "/tokens",
                "tokens",
                "fleet",
                Needs::Whole(Role::Operator),
                Answer::Json("list JoinToken"),
                "Join tokens, without their secrets.",
            ),
            tokens::list,
        )
        .post::<tokens::NewToken, _, _>(
            about(
                "/tokens",
                "make_token",
                "fleet",
                Needs::Whole(Role::Operator),
                Answer::Created("Token"),
                "Makes a join token.",
            )
            .noted(),
            tokens::create,
        )
        .post::<tokens::Revoke, _, _>(
            about(
                "/tokens/revoke",
                "tokens_revoke",
                "fleet",
                Needs::Whole(Role::Operator),
                Answer::Json("JoinToken"),
                "Makes a join token void.",
            )
            .noted(),
            tokens::revoke,
        )
        .get(
            about(
                "/enrich",
                "enrich",
                "enrichment",
                Needs::Whole(Role::Viewer),
                Answer::Json("Databases"),
                "Databases and sets, with their state.",
            ),
            enrich::status,
        )
        .get(
            about(
                "/sets",
                "sets",
                "enrichment",
                Needs::Role(Role::Viewer),
                Answer::Json("list Set"),
                "Networks with names.",
            ),
            enrich::sets,
        )
        .get(
            about(
                "/groups",
                "groups",
                "enrichment",
                Needs::Role(Role::Viewer),
                Answer::Json("list Group"),
                "Groups of hosts.",
            ),
            enrich::groups,
        )
        .post::<enrich::LookupBody, _, _>(
            about(
                "/enrich/lookup",
                "enrich_lookup",
                "enrichment",
                Needs::Role(Role::Viewer),
                Answer::Json("list Found"),
                "What is known of addresses.",
            ),
            enrich::lookup,
        )
        .get(
            about(
                "/views",
                "views",
                "saved",
                Needs::Role(Role::Viewer),
                Answer::Json("list View"),
                "Questions with names.",
            ),
            saved::views,
        )
        .post::<saved::NewView, _, _>(
            about(
                "/views",
                "keep_view",
                "saved",
                Needs::Role(Role::Viewer),
                Answer::Created("Kept"),
                "Keeps a view.",
            )
            .noted(),
            saved::put_view,
        )
        .post::<saved::Named, _, _>(
            about(
                "/views/delete",
                "views_delete",
                "saved",
                Needs::Role(Role::Viewer),
                Answer::Json("Removed"),
                "Removes a view.",
            )
            .noted(),
            saved::delete_view,
        )
        .post::<imports::NewImport, _, _>(
            about(
                "/imports",
                "open_import",
                "imports",
                Needs::Whole(Role::Operator),
                Answer::Json("OpenImport"),
                "Opens an import.",
            )
            .noted(),
            imports::open,
        )
        .get(
            about(
                "/imports",
                "imports",
                "imports",
                Needs::Whole(Role::Viewer),
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
                Needs::Whole(Role::Operator),
                Answer::Json("Committed"),
                "Ends an import.",
            )
            .noted(),
            imports::finish,
        )
        .get(
            about(
                "/lake",
                "lake",
                "lake",
                Needs::Whole(Role::Viewer),
                Answer::Json("LakeStatus"),
                "What each table holds.",
            ),
            lake::status,
        )
        .post::<lake::Verify, _, _>(
            about(
                "/lake/verify",
                "lake_verify",
                "lake",
                Needs::Whole(Role::Operator),
                Answer::Lines(WORK),
                "Looks whether everything is there and whole.",
            )
            .noted(),
            lake::verify,
        )
        .post::<lake::Compact, _, _>(
            about(
                "/lake/compact",
                "lake_compact",
                "lake",
                Needs::Whole(Role::Operator),
                Answer::Lines(WORK),
                "Merges files and makes rollups, without the pauses of the background work.",
            )
            .noted(),
            lake::compact,
        )
        .post::<lake::Dry, _, _>(
            about(
                "/lake/vacuum",
                "lake_vacuum",
                "lake",
                Needs::Whole(Role::Operator),
                Answer::Lines(WORK),
                "Deletes files that nobody needs any more.",
            )
            .noted(),
            lake::vacuum,
        )
        .post::<lake::Dry, _, _>(
            about(
                "/lake/retain",
                "lake_retain",
                "lake",
                Needs::Whole(Role::Operator),
                Answer::Lines(WORK),
                "Removes rows that are old enough.",
            )
            .noted(),
            lake::retain,
        )
        .post::<lake::Erase, _, _>(
            about(
                "/lake/erase",
                "lake_erase",
                "lake",
                Needs::Whole(Role::Admin),
                Answer::Lines(WORK),
                "Removes what names some addresses.",
            )
            .noted(),
            lake::erase,
        )
        .get(
            about(
                "/lake/erasures",
                "lake_erasures",
                "lake",
                Needs::Whole(Role::Operator),
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
                Needs::Whole(Role::Admin),
                Answer::Lines(WORK),
                "Copies everything to a folder of the server.",
            )
            .noted(),
            lake::backup,
        )
        .get(
            about(
                "/lake/holds",
                "lake_holds",
                "lake",
                Needs::Whole(Role::Viewer),
                Answer::Json("list Hold"),
                "What no retention takes.",
            ),
            lake::holds,
        )
        .post::<lake::NewHold, _, _>(
            about(
                "/lake/holds",
                "hold",
                "lake",
                Needs::Whole(Role::Operator),
                Answer::Created("Kept"),
                "Makes a hold.",
            )
            .noted(),
            lake::hold,
        )
        .post::<lake::Release, _, _>(
            about(
                "/lake/holds/release",
                "lake_holds_release",
                "lake",
                Needs::Whole(Role::Operator),
                Answer::Json("Released"),
                "Ends a hold.",
            )
            .noted(),
            lake::release,
        )
        .get(
            about(
                "/retention",
                "retention",
                "lake",
                Needs::Role(Role::Viewer),
                Answer::Json("Retention"),
                "What is kept, and for how long.",
            ),
            lake::retention,
        )
        .get(
            about(
                "/metrics",
                "metrics",
                "server",
                Needs::Whole(Role::Viewer),
                Answer::Text,
                "Numbers for a monitoring system.",
            ),
            metrics::metrics,
        )
        .get(
            about(
                "/openapi.json",
                "openapi",
                "server",
                Needs::Role(Role::Viewer),
                Answer::Json("object"),
                "This document.",
            ),
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
                Needs::Role(Role::Viewer),
                Answer::Json("SignedIn"),
                "The session of this browser.",
            ),
            sessions::current,
        )
        .delete(
            about(
                "/session",
                "sign_out",
                "sessions",
                Needs::Role(Role::Viewer),
                Answer::Done,
                "Ends the session of this browser.",
            )
            .noted(),
            sessions::sign_out,
        )
        .get(
            about(
                "/sessions",
                "sessions",
                "sessions",
                Needs::Role(Role::Viewer),
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
                Needs::Role(Role::Viewer),
                Answer::Json("Revoked"),
                "Ends a session.",
            )
            .noted(),
            sessions::revoke,
        )
}

/// Who asks, and who may.
pub(crate) fn people() -> Operations {
    Operations::default()
        .get(
            about(
                "/me",
                "me",
                "people",
                Needs::Role(Role::Viewer),
                Answer::Json("Me"),
                "Who asks, and what he may.",
            ),
            people::me,
        )
        .post::<people::NewPassword, _, _>(
            about(
                "/me/password",
                "me_password",
                "people",
                Needs::Role(Role::Viewer),
                Answer::Done,
                "Another password; other sessions end.",
            )
            .noted(),
            people::password,
        )
        .post::<people::Password, _, _>(
            about(
                "/me/totp",
                "me_totp",
                "people",
                Needs::Role(Role::Viewer),
                Answer::Json("Enrolling"),
                "Begins a second factor.",
            )
            .noted(),
            people::begin_second,
        )
        .post::<people::Code, _, _>(
            about(
                "/me/totp/confirm",
                "me_totp_confirm",
                "people",
                Needs::Role(Role::Viewer),
                Answer::Done,
                "Lets the second factor count.",
            )
            .noted(),
            people::confirm_second,
        )
        .post::<people::Password, _, _>(
            about(
                "/me/totp/remove",
                "me_totp_remove",
                "people",
                Needs::Role(Role::Viewer),
                Answer::Done,
                "Ends the second factor.",
            )
            .noted(),
            people::remove_second,
        )
        .get(
            about(
                "/access",
                "access",
                "people",
                Needs::Role(Role::Viewer),
                Answer::Json("list AccessToken"),
                "Access tokens: his own, or all.",
            ),
            people::access,
        )
        .post::<NewAccess, _, _>(
            about(
                "/access",
                "make_access",
                "people",
                Needs::Role(Role::Viewer),
                Answer::Created("MadeToken"),
                "Makes an access token.",
            )
            .noted(),
            people::make_access,
        )
        .post::<people::Named, _, _>(
            about(
                "/access/revoke",
                "access_revoke",
                "people",
                Needs::Role(Role::Viewer),
                Answer::Json("Revoked"),
                "Revokes an access token.",
            ),
            people::revoke_access,
        )
        .get(
            about(
                "/users",
                "users",
                "people",
                Needs::Whole(Role::Admin),
                Answer::Json("list User"),
                "Everybody who may sign in.",
            ),
            people::users,
        )
        .post::<NewUser, _, _>(
            about(
                "/users",
                "add_user",
                "people",
                Needs::Whole(Role::Admin),
                Answer::Created("Invitation"),
                "Adds a user, and invites him.",
            )
            .noted(),
            people::add_user,
        )
        .post::<Change, _, _>(
            about(
                "/users/change",
                "users_change",
                "people",
                Needs::Whole(Role::Admin),
                Answer::Json("User"),
                "Changes what a user may.",
            ),
            people::change_user,
        )
        .post::<people::Named, _, _>(
            about(
                "/users/invite",
                "users_invite",
                "people",
                Needs::Whole(Role::Admin),
                Answer::Json("Invitation"),
                "Invites a user to choose a new password.",
            )
            .noted(),
            people::invite,
        )
        .post::<people::Named, _, _>(
            about(
                "/users/delete",
                "users_delete",
                "people",
                Needs::Whole(Role::Admin),
                Answer::Json("Removed"),
                "Removes a user and his tokens.",
            ),
            people::delete_user,
        )
        .post::<audit::AuditBody, _, _>(
            about(
                "/audit",
                "audit",
                "people",
                Needs::Whole(Role::Admin),
                Answer::Json("Audit"),
                "What was done, the latest first.",
            ),
            audit::audit,
        )
        .post::<audit::VerifyBody, _, _>(
            about(
                "/audit/verify",
                "audit_verify",
                "people",
                Needs::Whole(Role::Admin),
                Answer::Json("Verified"),
                "Whether the log of what was done is whole.",
            ),
            audit::verify,
        )
}

/// How a session begins.
pub(crate) fn sign_in() -> Operations {
    Operations::default()
        .post::<sessions::SignIn, _, _>(
            about(
                "/session",
                "sign_in",
                "sessions",
                Needs::Nothing,
                Answer::Done,
                "Gives a token, and gets the cookie of a session.",
            ),
            sessions::sign_in,
        )
        .post::<people::Accept, _, _>(
            about(
                "/invitation",
                "invitation",
                "sessions",
                Needs::Nothing,
                Answer::Done,
                "Chooses a password with the code of an invitation, and signs in.",
            ),
            people::accept,
        )
}

/// The one question that holds rows.
pub(crate) fn deliveries() -> Operations {
    Operations::default().deliver::<imports::Piece, _, _>(
        about(
            "/imports/{id}/rows",
            "imports_rows",
            "imports",
            Needs::Whole(Role::Operator),
            Answer::Json("Committed"),
            "Delivers a batch of an import.",
        ),
        imports::rows,
    )
}

/// The one operation without a token.
fn open() -> Operations {
    Operations::default().get(
        about(
            "/health",
            "health",
            "server",
            Needs::Nothing,
            Answer::Json("Health"),
            "Whether the server answers.",
        ),
        crate::health,
    )
}

/// Every operation, for the document.
pub(crate) fn operations() -> Vec<Operation> {
    [questions(), others(), signed_in(), people(), sign_in(), deliveries(), open()]
        .into_iter()
        .flat_map(|operations| operations.described)
        .collect()
}
