//! Who asks in Flight SQL: whoever has a token that the API takes, and in the same list of questions.

use bartizan_api::{Access, Names, Queries, Running};
use bartizan_filter::Context;
use bartizan_query::Inquiry;
use bartizan_sql::{Asker, Askers, Begun};
use std::sync::Arc;

/// Holders of tokens.
pub(crate) struct Holders {
    pub(crate) access: Arc<Access>,
    pub(crate) names: Arc<dyn Names>,
    pub(crate) queries: Arc<Queries>,
}

impl Askers for Holders {
    fn asker(&self, token: &str) -> Option<Asker> {
        self.access.allows(token).then(|| Asker { id: Access::asker(token), scope: None })
    }

    fn names(&self) -> Arc<Context> {
        self.names.context()
    }

    fn begin(&self, asker: &Asker, text: &str) -> Arc<dyn Begun> {
        Arc::new(InList(self.queries.begin(asker.id, "sql", text)))
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
