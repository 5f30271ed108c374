//! What each command does, and how it ends: the table, and a file for each subject.

mod asking;
mod configuration;
mod fleet;
mod importing;
mod lake;
mod people;
mod program;
mod rows;

use super::{Case, Run};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// A command that asks the server.
const fn asks(path: &'static str, least: &'static [&'static str], does: fn(&Run<'_>)) -> Case {
    Case { path, least, asks: true, does }
}

/// One that does not.
const fn alone(path: &'static str, least: &'static [&'static str], does: fn(&Run<'_>)) -> Case {
    Case { path, least, asks: false, does }
}

/// In this order: some leave something for those after them.
pub(super) const CASES: &[Case] = &[
    asks("search", &[], rows::search),
    asks("hist", &[], rows::hist),
    asks("tail", &["-n", "1"], rows::tail),
    alone("watch", &[], rows::watch),
    asks("top", &["src"], rows::top),
    asks("show", &["07070707070707070707070707070707/0/000000000000feed/42/7"], rows::show),
    asks("flows", &[], rows::flows),
    asks("counters", &[], rows::counters),
    asks("rules", &["web-01"], fleet::rules),
    asks("export", &[], rows::export),
    asks("sql", &["SELECT 1"], rows::sql),
    asks("hosts list", &[], fleet::hosts),
    asks("senders", &[], fleet::senders),
    asks("unparsed", &[], rows::unparsed),
    asks("lines", &[], rows::lines),
    asks("losses", &[], rows::losses),
    asks("views save", &["name", "dport:22"], asking::views_save),
    asks("views list", &[], asking::views_list),
    asks("views run", &["name"], asking::views_run),
    asks("views rm", &["name"], asking::views_rm),
    asks("groups", &[], asking::groups),
    asks("sets", &[], asking::sets),
    asks("queries list", &[], asking::queries_list),
    asks("queries cancel", &["name"], asking::queries_cancel),
    alone("login", &["https://127.0.0.1:1"], program::login),
    alone("context list", &[], program::context_list),
    alone("context use", &["name"], program::context_use),
    alone("context rm", &["name"], program::context_rm),
    alone("doctor", &[], program::doctor),
    asks("token create", &[], fleet::token_create),
    asks("token list", &[], fleet::token_list),
    asks("token revoke", &["0123456789"], fleet::token_revoke),
    asks("hosts approve", &["nobody"], fleet::hosts_approve),
    asks("hosts rename", &["nobody", "x"], fleet::hosts_rename),
    asks("hosts retire", &["nobody"], fleet::hosts_retire),
    asks("hosts revoke", &["nobody"], fleet::hosts_revoke),
    asks("config set", &["*", "/dev/null"], configuration::config_set),
    asks("config list", &[], configuration::config_list),
    asks("config show", &["1"], configuration::config_show),
    asks("config diff", &["1"], configuration::config_diff),
    asks("config rollback", &["1"], configuration::config_rollback),
    asks("config status", &[], configuration::config_status),
    asks("authority status", &[], fleet::authority_status),
    asks("authority rotate", &[], fleet::authority_rotate),
    asks("authority finish", &[], fleet::authority_finish),
    alone("parse", &[], importing::parse),
    alone("import", &["x"], importing::import),
    asks("imports", &[], importing::imports),
    asks("lake status", &[], lake::lake_status),
    asks("users add", &["name"], people::users_add),
    asks("users list", &[], people::users_list),
    asks("users change", &["name"], people::users_change),
    asks("users invite", &["name"], people::users_invite),
    asks("users rm", &["name"], people::users_rm),
    asks("access make", &["name"], people::access_make),
    asks("access list", &[], people::access_list),
    asks("access revoke", &["name"], people::access_revoke),
    asks("audit list", &[], people::audit_list),
    asks("audit verify", &[], people::audit_verify),
    asks("lake verify", &[], lake::lake_verify),
    asks("lake compact", &[], lake::lake_compact),
    asks("lake hold", &["name"], lake::lake_hold),
    asks("lake holds", &[], lake::lake_holds),
    asks("lake release", &["name"], lake::lake_release),
    asks("lake vacuum", &["-n"], lake::lake_vacuum),
    asks("lake retain", &["-n"], lake::lake_retain),
    asks("lake erase", &["192.0.2.1", "-n"], lake::lake_erase),
    asks("lake erasures", &[], lake::lake_erasures),
    asks("backup", &["/nowhere"], lake::backup),
    alone("restore", &["x", "--to", "y"], lake::restore),
    alone("prefix test", &["x"], asking::prefix_test),
    alone("prefix list", &[], asking::prefix_list),
    asks("enrich status", &[], asking::enrich_status),
    asks("enrich sets", &[], asking::enrich_sets),
    asks("enrich lookup", &["192.0.2.1"], asking::enrich_lookup),
    alone("filter check", &["dport:22"], asking::filter_check),
    alone("filter explain", &["dport:22"], asking::filter_explain),
    alone("server", &[], program::server),
    alone("completion", &["bash"], program::completion),
    alone("man", &[], program::man),
    alone("version", &[], program::version),
];
