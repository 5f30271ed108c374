//! Who asks in Flight SQL: whoever has a token that the API takes, with the same scope and in the same list of questions.

use async_trait::async_trait;
use bartizan_api::{Names, Queries, Running, asker, sight};
use bartizan_filter::Context;
use bartizan_model::Role;
use bartizan_people::{Deed, People};
use bartizan_query::Inquiry;
use bartizan_sql::{Asker, Askers, Begun, Denied};
use http::Extensions;
use std::sync::Arc;

/// Holders of tokens.
pub(crate) struct Holders {
    pub(crate) people: Arc<People>,
    pub(crate) names: Arc<dyn Names>,
    pub(crate) queries: Arc<Queries>,
}

#[async_trait]
impl Askers for Holders {
    fn asker(&self, token: &str, about: &Extensions) -> Result<Asker, Denied> {
        let who = self.people.holder(token).ok_or(Denied::Unknown)?;
        if who.role < Role::Analyst {
            return Err(Denied::Forbidden(format!(
                "this needs the role {}, and you have {}",
                Role::Analyst,
                who.role
            )));
        }
        let sight =
            sight(&who, &self.names.context()).map_err(|problem| Denied::Forbidden(problem.detail))?;
        let from = about.get::<bartizan_api::Asker>().map(|asker| asker.0);
        Ok(Asker { id: asker(&who), who: who.name, from, sight })
    }

    fn names(&self) -> Arc<Context> {
        self.names.context()
    }

    async fn begin(&self, asker: &Asker, text: &str) -> Result<Arc<dyn Begun>, Denied> {
        let about = Some(serde_json::json!({ "query": text }).to_string());
        let address = asker.from.map(|from| from.to_canonical().to_string());
        let deed = Deed { who: asker.who.clone(), address, what: "flight_sql", about, ..Deed::default() };
        self.people.trail().note(deed).await.map_err(|error| {
            tracing::error!(%error, "the audit log cannot be written");
            Denied::Unavailable
        })?;
        Ok(Arc::new(InList(self.queries.begin(asker.id, asker.sight.clone(), "sql", text))))
    }
}

struct InList(Running);

impl Begun for InList {
    fn inquiry(&self) -> &Arc<Inquiry> {
        self.0.inquiry()
    }

    fn cancel(&self) {
        self.0.cancel();
    }
}
