//! Hosts, and how they get in.

use crate::needs::Needs;
use crate::operations::{Answer, Operations, about};
use crate::{authority, configurations, fleet, standing, tokens};
use bartizan_model::Role;

/// Hosts, senders, join tokens, the authority.
pub(super) fn fleet() -> Operations {
    Operations::default()
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
        .post::<configurations::NewConfiguration, _, _>(
            about(
                "/configurations",
                "configure",
                "fleet",
                Needs::Whole(Role::Operator),
                Answer::Created("Configuration"),
                "Says something of the agents' configuration, as a new version.",
            ),
            configurations::say,
        )
        .post::<configurations::History, _, _>(
            about(
                "/configurations/history",
                "configurations_history",
                "fleet",
                Needs::Whole(Role::Operator),
                Answer::Json("list Configuration"),
                "What was said of the agents' configuration, the latest first.",
            ),
            configurations::history,
        )
        .post::<configurations::RollBack, _, _>(
            about(
                "/configurations/rollback",
                "configurations_rollback",
                "fleet",
                Needs::Whole(Role::Operator),
                Answer::Created("Configuration"),
                "Lets the text of an older version count again, as a new version.",
            ),
            configurations::roll_back,
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
}
