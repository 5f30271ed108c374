//! What an operation needs: who may ask for it, and whether it is noted that he did.
//!
//! Every operation says so in the line that routes it, and it is checked before its handler runs, so that none is open
//! by being forgotten.

use crate::sessions::Asker;
use crate::{BODY_LIMIT, Problem};
use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bartizan_model::Role;
use bartizan_people::{Deed, Principal, Trail};
use serde_json::Value;

/// Who may ask for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Anybody, without a name.
    Nothing,
    /// Whoever has this role; of rows he is answered those in his scope.
    Role(Role),
    /// Whoever has this role and no scope: it is about everything.
    Whole(Role),
}

impl Needs {
    /// Why somebody may not.
    fn refuses(self, who: &Principal) -> Option<Problem> {
        let (role, whole) = match self {
            Self::Nothing => return None,
            Self::Role(role) => (role, false),
            Self::Whole(role) => (role, true),
        };
        if who.role < role {
            let text = format!("this needs the role {role}, and you have {}", who.role);
            return Some(Problem::forbidden(text));
        }
        (whole && who.scope.is_some())
            .then(|| Problem::forbidden("this is about everything, and you see only a part of it"))
    }

    /// In words, for the description.
    pub(crate) fn words(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Role(role) => Some(format!("Needs the role {role}.")),
            Self::Whole(role) => Some(format!("Needs the role {role} and no scope.")),
        }
    }
}

/// Lets pass who may, and notes it where that is wanted.
pub(crate) async fn guard(
    needs: Needs,
    noted: Option<&'static str>,
    request: Request,
    next: Next,
) -> Response {
    let Some(who) = request.extensions().get::<Principal>().cloned() else {
        return match needs {
            Needs::Nothing => next.run(request).await,
            _ => Problem::unauthorized("nobody is signed in").into_response(),
        };
    };
    if let Some(problem) = needs.refuses(&who) {
        crate::body::drain(request.into_body(), BODY_LIMIT).await;
        return problem.into_response();
    }
    match noted {
        None => next.run(request).await,
        Some(what) => note(who.name, what, request, next).await,
    }
}

/// Notes that something was done, with what was asked for.
async fn note(who: String, what: &'static str, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<Asker>().map(|asker| asker.0.to_canonical().to_string());
    let trail = request.extensions().get::<Trail>().cloned();
    let (head, body) = request.into_parts();
    if crate::body::declared(&head.headers).is_some_and(|length| length > BODY_LIMIT as u64) {
        // It will be refused.
        return next.run(Request::from_parts(head, body)).await;
    }
    let is_json =
        head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let (body, about) = if is_json {
        let Ok(bytes) = to_bytes(body, BODY_LIMIT).await else {
            return crate::body::too_long().into_response();
        };
        let about = serde_json::from_slice(&bytes).ok().map(without_secrets);
        (Body::from(bytes), about.map(|about| about.to_string()))
    } else {
        (body, None)
    };
    let answer = next.run(Request::from_parts(head, body)).await;
    if !answer.status().is_success() {
        return answer;
    }
    let deed = Deed { who, address, what, about, ..Deed::default() };
    match trail {
        None => answer,
        Some(trail) => match trail.note(deed).await {
            Ok(_) => answer,
            Err(error) => crate::people::problem(error).into_response(),
        },
    }
}

/// A question as it may be kept.
pub(crate) fn without_secrets(mut question: Value) -> Value {
    const SECRET: &[&str] = &["token", "password", "old", "new", "code", "state"];
    if let Value::Object(members) = &mut question {
        members.retain(|name, _| !SECRET.contains(&name.as_str()));
    }
    question
}

/// The trail of a handler that has more to tell than what was asked for.
pub(crate) struct Noting {
    trail: Trail,
    who: String,
    address: Option<String>,
}

impl Noting {
    pub(crate) fn new(trail: Trail, who: &Principal, asker: Option<&Extension<Asker>>) -> Self {
        let address = asker.map(|Extension(asker)| asker.0.to_canonical().to_string());
        Self { trail, who: who.name.clone(), address }
    }

    /// Notes what was done: to what, as it was, and as it is now.
    pub(crate) async fn note(
        self,
        what: &'static str,
        about: impl Into<String>,
        old: Option<Value>,
        new: Option<Value>,
    ) -> Result<(), Problem> {
        let text = |value: Option<Value>| value.map(|value| value.to_string());
        let deed = Deed {
            who: self.who,
            address: self.address,
            what,
            about: Some(about.into()),
            old: text(old),
            new: text(new),
        };
        self.trail.note(deed).await.map(drop).map_err(crate::people::problem)
    }
}
