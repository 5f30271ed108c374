//! The store: imports, retention, the lake.

use crate::needs::Needs;
use crate::operations::{Answer, Operations, about};
use crate::{imports, lake};
use bartizan_model::Role;

const WORK: &str = "a line for each thing that is found or done, {\"progress\":text} now and then, and in the end \
                    {\"end\":{complete, problem?}} with sums";

/// Imports and the lake.
pub(super) fn store() -> Operations {
    Operations::default()
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
