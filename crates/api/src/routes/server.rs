//! What helps to ask, and what tells of the server.

use crate::needs::Needs;
use crate::operations::{Answer, Operations, about};
use crate::{ask, enrich, metrics, openapi, queries, saved};
use bartizan_model::Role;

/// Filters, questions, what is known of addresses, views, numbers, the description.
pub(super) fn server() -> Operations {
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

/// The one operation without a token.
pub(super) fn open() -> Operations {
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
