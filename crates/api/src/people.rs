//! Who asks, who may, and how that changes.

use crate::body::Body;
use crate::fleet::{maybe_time, time, unavailable};
use crate::needs::Noting;
use crate::sessions::{Asker, Session, here, open, refused};
use crate::{ApiState, Problem};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use bartizan_filter::Filter;
use bartizan_model::{Kind, Micros, Role};
use bartizan_people::{
    AccessInfo, Change, Enrolling, Invitation, NewAccess, NewUser, PeopleError, Principal, PrincipalKind,
    Refused, UserInfo,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Bytes of a scope.
const SCOPE: usize = 1024;

/// What went wrong, for who asked.
pub(crate) fn problem(error: PeopleError) -> Problem {
    let text = error.to_string();
    match &error {
        PeopleError::Refused(Refused::CodeNeeded) => Problem::code_needed(),
        PeopleError::Refused(Refused::Wrong) => {
            Problem::unauthorized("that is not known: no such name with this password, code or token")
        }
        PeopleError::Refused(Refused::TooMany(_) | Refused::Busy) => Problem::too_many(text),
        PeopleError::Weak(_) | PeopleError::Name | PeopleError::TokenName | PeopleError::NotBegun => {
            Problem::bad_request(StatusCode::UNPROCESSABLE_ENTITY, text)
        }
        PeopleError::ProvidedName(_) | PeopleError::ShutOut => Problem::forbidden(text),
        PeopleError::NameOfAnother(_) => Problem::conflict("urn:bartizan:taken", text),
        PeopleError::Provided(_) => Problem::conflict("urn:bartizan:provided", text),
        PeopleError::Taken(_) => Problem::conflict("urn:bartizan:taken", text),
        PeopleError::TooMany => Problem::conflict("urn:bartizan:too-many", text),
        PeopleError::None(_) => Problem::not_found_thing(text),
        PeopleError::More(_) => Problem::forbidden(text),
        PeopleError::Invitation => {
            Problem::unauthorized("this invitation was used, has ended, or never was: ask for another one")
        }
        PeopleError::Random | PeopleError::Catalog(_) => {
            let what = "the catalog does not answer; try again";
            Problem::internal(StatusCode::SERVICE_UNAVAILABLE, what, &error)
        }
    }
}

/// Who asks.
#[derive(Serialize)]
pub(crate) struct Me {
    #[serde(flatten)]
    who: Principal,
    /// Whether a user has a second factor.
    totp: bool,
    /// Whether a user signs in by the identity provider, and has no password.
    provided: bool,
}

/// Who asks, and what he may.
pub(crate) async fn me(State(state): State<ApiState>, Extension(who): Extension<Principal>) -> Json<Me> {
    let user = (who.kind == PrincipalKind::User).then(|| state.people.user(&who.name)).flatten();
    let totp = user.as_ref().is_some_and(|user| user.totp);
    let provided = user.is_some_and(|user| user.provider.is_some());
    Json(Me { who, totp, provided })
}

/// Only users have passwords, and of those only whom no provider knows.
fn user<'a>(state: &ApiState, who: &'a Principal) -> Result<&'a str, Problem> {
    let is_provided = || state.people.user(&who.name).is_some_and(|user| user.provider.is_some());
    if who.kind == PrincipalKind::User && !is_provided() {
        return Ok(&who.name);
    }
    Err(Problem::forbidden("this is for users who have signed in with a password"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    old: String,
    new: String,
}

/// Another password. His other sessions end.
pub(crate) async fn password(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    session: Option<Extension<Session>>,
    Body(body): Body<NewPassword>,
) -> Result<StatusCode, Problem> {
    state.people.change_password(user(&state, &who)?, &body.old, &body.new).await.map_err(problem)?;
    let this = session.map(|Extension(session)| session.name);
    state.sessions.end_of(&who.name, this.as_deref()).await.map_err(unavailable)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Password {
    password: String,
}

/// Begins a second factor.
pub(crate) async fn begin_second(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    Body(body): Body<Password>,
) -> Result<Json<Enrolling>, Problem> {
    state.people.begin_second(user(&state, &who)?, &body.password).await.map(Json).map_err(problem)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    code: String,
}

/// Lets the second factor count.
pub(crate) async fn confirm_second(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    Body(body): Body<Code>,
) -> Result<StatusCode, Problem> {
    state.people.confirm_second(user(&state, &who)?, &body.code).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the second factor.
pub(crate) async fn remove_second(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    Body(body): Body<Password>,
) -> Result<StatusCode, Problem> {
    state.people.remove_second(user(&state, &who)?, &body.password).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accept {
    code: String,
    password: String,
}

/// Chooses a password, and signs in.
pub(crate) async fn accept(
    State(state): State<ApiState>,
    asker: Option<Extension<Asker>>,
    (method, uri, headers): (Method, Uri, HeaderMap),
    Body(body): Body<Accept>,
) -> Result<Response, Problem> {
    here(&method, &uri, &headers)?;
    let from = asker.map(|Extension(Asker(ip))| ip.to_canonical());
    let who = match state.people.accept(&body.code, &body.password).await {
        Ok(who) => who,
        Err(error) => return refused(error),
    };
    state.sessions.end_of(&who.name, None).await.map_err(unavailable)?;
    open(&state, who, from, &headers, "invitation").await
}

/// Of a user what he may, as it is told.
#[derive(Serialize)]
pub(crate) struct User {
    name: String,
    role: Role,
    scope: Option<String>,
    payload: bool,
    totp: bool,
    #[serde(serialize_with = "time")]
    created: Micros,
    #[serde(serialize_with = "maybe_time")]
    last_sign_in: Option<Micros>,
    disabled: bool,
    #[serde(serialize_with = "maybe_time")]
    invited_until: Option<Micros>,
    provider: Option<String>,
}

impl From<UserInfo> for User {
    fn from(user: UserInfo) -> Self {
        let UserInfo {
            name,
            role,
            scope,
            payload,
            totp,
            created,
            last_sign_in,
            disabled,
            invited_until,
            provider,
        } = user;
        Self { name, role, scope, payload, totp, created, last_sign_in, disabled, invited_until, provider }
    }
}

/// What of a user others change, for the log.
pub(crate) fn may(user: &UserInfo) -> Value {
    json!({"role": user.role, "scope": user.scope, "payload": user.payload, "disabled": user.disabled})
}

/// Everybody who may sign in.
pub(crate) async fn users(State(state): State<ApiState>) -> Json<Vec<User>> {
    Json(state.people.users().into_iter().map(User::from).collect())
}

/// How somebody gets in.
#[derive(Serialize)]
pub(crate) struct Invited {
    name: String,
    code: String,
    #[serde(serialize_with = "time")]
    until: Micros,
}

impl From<Invitation> for Invited {
    fn from(Invitation { name, code, until }: Invitation) -> Self {
        Self { name, code, until }
    }
}

/// A scope is a filter of fields that every table has; so that it says something about each of them.
fn check_scope(state: &ApiState, scope: Option<&String>) -> Result<(), Problem> {
    let Some(scope) = scope.filter(|scope| !scope.is_empty()) else { return Ok(()) };
    if scope.len() > SCOPE {
        let text = format!("a scope has at most {SCOPE} bytes; a long list of hosts can be a group");
        return Err(Problem::bad_request(StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    let names = state.names.context();
    for table in Kind::ALL {
        Filter::parse_for(table, scope, &names)?;
    }
    Ok(())
}

/// Adds a user, and invites him.
pub(crate) async fn add_user(
    State(state): State<ApiState>,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Json<Invited>), Problem> {
    check_scope(&state, new.scope.as_ref())?;
    let invitation = state.people.add(new).await.map_err(problem)?;
    Ok((StatusCode::CREATED, Json(invitation.into())))
}

/// Changes what a user may. Who is shut out has no session any more.
pub(crate) async fn change_user(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    asker: Option<Extension<Asker>>,
    Body(change): Body<Change>,
) -> Result<Json<User>, Problem> {
    check_scope(&state, change.scope.as_ref())?;
    not_himself(&who, &change.name)?;
    let (old, new) = state.people.change_user(change).await.map_err(problem)?;
    if new.disabled {
        state.sessions.end_of(&new.name, None).await.map_err(unavailable)?;
    }
    let noting = Noting::new(state.people.trail(), &who, asker.as_ref());
    noting.note("users_change", &new.name, Some(may(&old)), Some(may(&new))).await?;
    Ok(Json(new.into()))
}

/// So that there is always somebody who can.
fn not_himself(who: &Principal, name: &str) -> Result<(), Problem> {
    if who.kind == PrincipalKind::User && who.name.eq_ignore_ascii_case(name) {
        let text = "you cannot change or remove yourself: somebody else has to";
        return Err(Problem::conflict("urn:bartizan:yourself", text));
    }
    Ok(())
}

/// Of whom, or of what.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    name: String,
}

/// Invites a user to choose a new password.
pub(crate) async fn invite(
    State(state): State<ApiState>,
    Body(body): Body<Named>,
) -> Result<Json<Invited>, Problem> {
    state.people.invite(&body.name).await.map(|invitation| Json(invitation.into())).map_err(problem)
}

/// What was removed.
#[derive(Serialize)]
pub(crate) struct Removed {
    removed: String,
}

/// Removes a user and his tokens.
pub(crate) async fn delete_user(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    asker: Option<Extension<Asker>>,
    Body(body): Body<Named>,
) -> Result<Json<Removed>, Problem> {
    not_himself(&who, &body.name)?;
    let old = state.people.delete_user(&body.name).await.map_err(problem)?;
    state.sessions.end_of(&old.name, None).await.map_err(unavailable)?;
    let noting = Noting::new(state.people.trail(), &who, asker.as_ref());
    noting.note("users_delete", &old.name, Some(may(&old)), None).await?;
    Ok(Json(Removed { removed: old.name }))
}

/// An access token, as it is told.
#[derive(Serialize)]
pub(crate) struct AccessToken {
    name: String,
    user: Option<String>,
    role: Role,
    scope: Option<String>,
    payload: bool,
    #[serde(serialize_with = "time")]
    created: Micros,
    #[serde(serialize_with = "maybe_time")]
    expires: Option<Micros>,
    #[serde(serialize_with = "maybe_time")]
    used: Option<Micros>,
    comment: String,
}

impl From<AccessInfo> for AccessToken {
    fn from(token: AccessInfo) -> Self {
        let AccessInfo { name, user, role, scope, payload, created, expires, used, comment } = token;
        Self { name, user, role, scope, payload, created, expires, used, comment }
    }
}

/// Access tokens: his own, or all.
pub(crate) async fn access(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
) -> Json<Vec<AccessToken>> {
    Json(state.people.access_tokens(&who).into_iter().map(AccessToken::from).collect())
}

/// A token, which nobody is told again.
#[derive(Serialize)]
pub(crate) struct MadeToken {
    name: String,
    token: String,
}

/// Makes an access token.
pub(crate) async fn make_access(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    Body(new): Body<NewAccess>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    check_scope(&state, new.scope.as_ref())?;
    let made = state.people.make_access(&who, new).await.map_err(problem)?;
    Ok((StatusCode::CREATED, Json(MadeToken { name: made.name, token: made.token })))
}

/// What was revoked.
#[derive(Serialize)]
pub(crate) struct Revoked {
    revoked: String,
}

/// Revokes an access token.
pub(crate) async fn revoke_access(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    asker: Option<Extension<Asker>>,
    Body(body): Body<Named>,
) -> Result<Json<Revoked>, Problem> {
    let old = state.people.revoke_access(&who, &body.name).await.map_err(problem)?;
    state.sessions.end_of(&format!("token:{}", old.name), None).await.map_err(unavailable)?;
    let was = json!({"user": old.user, "role": old.role, "scope": old.scope, "payload": old.payload});
    let noting = Noting::new(state.people.trail(), &who, asker.as_ref());
    noting.note("access_revoke", &old.name, Some(was), None).await?;
    Ok(Json(Revoked { revoked: old.name }))
}
