//! Who asks, and who may.

use crate::needs::Needs;
use crate::operations::{Answer, Operations, about};
use crate::{audit, people, provider, sessions};
use bartizan_model::Role;
use bartizan_people::{Change, NewAccess, NewUser};

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

/// How a session begins at an identity provider.
pub(crate) fn provider() -> Operations {
    Operations::default()
        .get(
            about(
                "/session/provider",
                "provider",
                "sessions",
                Needs::Nothing,
                Answer::Json("Provider"),
                "The identity provider by which people sign in, if there is one.",
            ),
            provider::named,
        )
        .post::<provider::Begin, _, _>(
            about(
                "/session/provider",
                "provider_begin",
                "sessions",
                Needs::Nothing,
                Answer::Json("Leaving"),
                "Begins a sign-in by the identity provider, and gets a cookie that belongs to it.",
            ),
            provider::begin,
        )
        .post::<provider::Finish, _, _>(
            about(
                "/session/provider/finish",
                "provider_finish",
                "sessions",
                Needs::Nothing,
                Answer::Json("Returned"),
                "Gives what the provider sent the browser back with, and gets the cookie of a session.",
            ),
            provider::finish,
        )
}
