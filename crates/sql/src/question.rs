//! From a question to its plan, and to the answer.

use crate::address::{Addresses, Texts};
use crate::statement::{Asked, Refused, parse};
use crate::value::Value;
use crate::{answer, catalog, functions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bartizan_filter::Context;
use bartizan_query::{Engine, Moment, Planned, QueryError, RowStream};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::optimizer::Analyzer;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::Statement;
use futures::executor::block_on;
use std::sync::Arc;

/// Nodes of a plan: `WITH` parts stand in it as often as they are named.
const MAX_NODES: usize = 2_000;

/// A question in SQL.
#[derive(Clone, Debug)]
pub struct Question {
    /// One statement.
    pub text: String,
    /// What its `?` and `$1` stand for, in their order.
    pub parameters: Vec<ScalarValue>,
    /// What functions know.
    pub names: Arc<Context>,
}

impl Question {
    /// Without parameters.
    #[must_use]
    pub fn new(text: impl Into<String>, names: Arc<Context>) -> Self {
        Self { text: text.into(), parameters: Vec::new(), names }
    }

    /// With these for its parameters.
    #[must_use]
    pub fn with(self, parameters: Vec<Value>) -> Self {
        Self { parameters: parameters.into_iter().map(ScalarValue::from).collect(), ..self }
    }
}

impl From<Value> for ScalarValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => b.into(),
            Value::Int(n) => n.into(),
            Value::Float(n) => n.into(),
            Value::Text(text) => Self::from(text.as_str()),
            Value::Time(micros) => Self::TimestampMicrosecond(Some(micros), Some("UTC".into())),
        }
    }
}

impl From<Refused> for QueryError {
    fn from(Refused(text): Refused) -> Self {
        Self::Sql(text)
    }
}

fn refused(text: impl Into<String>) -> QueryError {
    QueryError::Sql(text.into())
}

/// What is known of a question before it is asked.
#[derive(Clone, Debug)]
pub struct Described {
    /// The columns of its answer.
    pub columns: SchemaRef,
    /// Its parameters, in their order; of the null type where any will do.
    pub parameters: SchemaRef,
}

/// The answer.
///
/// # Errors
/// [`QueryError::Sql`] if the text is wrong, and as for every other question.
pub async fn ask(engine: &Engine, question: Question) -> Result<RowStream, QueryError> {
    let question = Arc::new(question);
    engine.planned(move |moment| planned(moment, &question)).await
}

/// What the answer will look like. Parameters need not be given; with them, columns have the types that they give.
///
/// # Errors
/// As of [`ask`].
pub async fn describe(engine: &Engine, question: Question) -> Result<Described, QueryError> {
    engine.prepare(move |moment| described(moment, &question)).await
}

fn planned(moment: &Moment, question: &Question) -> Result<Planned, QueryError> {
    let asked = parse(&question.text)?;
    let state = session(moment, question, &asked).map_err(QueryError::of_sql)?;
    let plan = match &asked {
        Asked::Explain(statement) => {
            let plan = answered(&state, statement, &asked)?;
            let plan = bound(plan, question)?;
            let plan = state.optimize(&plan).map_err(QueryError::of_sql)?;
            lines(&plan.display_indent().to_string()).map_err(QueryError::of_sql)?
        }
        other => bound(rows(&state, other)?, question)?,
    };
    let plan = state.optimize(&plan).map_err(QueryError::of_sql)?;
    Ok(Planned { plan, state })
}

fn described(moment: &Moment, question: &Question) -> Result<Described, QueryError> {
    let asked = parse(&question.text)?;
    let state = session(moment, question, &asked).map_err(QueryError::of_sql)?;
    if let Asked::Explain(_) = asked {
        let plan = lines("").map_err(QueryError::of_sql)?;
        return Ok(Described {
            columns: Arc::clone(plan.schema().inner()),
            parameters: Arc::new(Schema::empty()),
        });
    }
    let plan = rows(&state, &asked)?;
    let types = plan.get_parameter_types().map_err(QueryError::of_sql)?;
    let last = types.keys().filter_map(|name| name.strip_prefix('$')?.parse::<usize>().ok()).max();
    let parameter = |n: usize| {
        let name = format!("${n}");
        let kind = types.get(&name).cloned().flatten().unwrap_or(DataType::Null);
        Field::new(name, kind, true)
    };
    let parameters = (1..=last.unwrap_or(0)).map(parameter).collect::<Vec<_>>();
    // The rules decide some types; without its parameters they would say that a value is missing.
    let columns = if parameters.is_empty() || !question.parameters.is_empty() {
        let plan = bound(plan, question)?;
        Arc::clone(state.optimize(&plan).map_err(QueryError::of_sql)?.schema().inner())
    } else {
        Arc::clone(plan.schema().inner())
    };
    Ok(Described { columns, parameters: Arc::new(Schema::new(parameters)) })
}

fn session(moment: &Moment, question: &Question, asked: &Asked) -> DfResult<SessionState> {
    let mut builder = moment.session();
    let config = builder.config().take().unwrap_or_default();
    let mut config = config
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(catalog::CATALOG, catalog::PUBLIC)
        .with_information_schema(false);
    // One that does not end would work until its time is over.
    config.options_mut().execution.enable_recursive_ctes = false;
    let mut analyzer = Analyzer::new();
    analyzer.rules.insert(0, Arc::new(Addresses));
    let mut planners = SessionStateDefaults::default_expr_planners();
    planners.insert(0, Arc::new(Texts));
    let mut state = builder
        .with_config(config)
        .with_catalog_list(catalog::empty()?)
        .with_scalar_functions(functions::all(&question.names))
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_expr_planners(planners)
        .with_analyzer_rules(analyzer.rules)
        .build();
    // What `now()` is, for the whole question.
    let options = Arc::clone(state.config_options());
    state.execution_props_mut().mark_start_execution(options);
    catalog::fill(&state, moment, &asked.tables())?;
    Ok(state)
}

/// The plan of what is asked, with its columns as they are shown.
fn rows(state: &SessionState, asked: &Asked) -> Result<LogicalPlan, QueryError> {
    match asked {
        Asked::Rows(statement) | Asked::Explain(statement) => answered(state, statement, asked),
        Asked::Tables => {
            own(state, "SELECT table_name, table_type, description FROM information_schema.tables", None)
        }
        Asked::Columns(table) => own(
            state,
            "SELECT column_name, data_type, is_nullable, description FROM information_schema.columns \
             WHERE table_name = $1 ORDER BY ordinal_position",
            Some(table),
        ),
    }
}

fn own(state: &SessionState, text: &str, table: Option<&String>) -> Result<LogicalPlan, QueryError> {
    if let Some(table) = table.filter(|table| !catalog::is_known(table)) {
        return Err(no_table(table));
    }
    let plan = block_on(state.create_logical_plan(text)).map_err(QueryError::of_sql)?;
    let values: Vec<_> = table.map(|table| ScalarValue::from(table.as_str())).into_iter().collect();
    if values.is_empty() {
        return Ok(plan);
    }
    plan.with_param_values(values).map_err(QueryError::of_sql)
}

fn answered(state: &SessionState, statement: &Statement, asked: &Asked) -> Result<LogicalPlan, QueryError> {
    let statement = DfStatement::Statement(Box::new(statement.clone()));
    let plan = block_on(state.statement_to_plan(statement)).map_err(|error| explained(error, asked))?;
    only_reads(&plan)?;
    answer::shown(plan).map_err(QueryError::of_sql)
}

/// What the planner says, and of a table that is not there, which may have been meant.
fn explained(error: DataFusionError, asked: &Asked) -> QueryError {
    let said = QueryError::of_sql(error);
    let QueryError::Sql(text) = &said else { return said };
    let named = asked.tables().into_iter().filter(|name| !catalog::is_known(name));
    let missing = named.into_iter().find(|name| text.contains(&format!(".{name}' not found")));
    missing.map_or(said, |name| no_table(&name))
}

fn no_table(name: &str) -> QueryError {
    let shown: String = name.chars().take(80).collect();
    refused(match catalog::nearest(name) {
        Some(meant) => format!("there is no table `{shown}`; did you mean `{meant}`?"),
        None => format!("there is no table `{shown}`: SHOW TABLES says which there are"),
    })
}

/// The text was seen to be a question; whatever it became must be one as well.
fn only_reads(plan: &LogicalPlan) -> Result<(), QueryError> {
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(plan).map_err(QueryError::of_sql)?;
    let mut nodes = 0;
    let counted = plan.apply_with_subqueries(|_| {
        nodes += 1;
        Ok(if nodes > MAX_NODES { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    counted.map_err(QueryError::of_sql)?;
    if nodes > MAX_NODES {
        return Err(refused("the question is too deep: its WITH parts stand in each other too often"));
    }
    Ok(())
}

fn bound(plan: LogicalPlan, question: &Question) -> Result<LogicalPlan, QueryError> {
    let wanted = plan.get_parameter_types().map_err(QueryError::of_sql)?.len();
    let given = question.parameters.len();
    if wanted > given || wanted == 0 && given > 0 {
        return Err(refused(format!("the question has {wanted} parameters, and {given} were given")));
    }
    if wanted == 0 {
        return Ok(plan);
    }
    let values = ParamValues::from(question.parameters.clone());
    plan.with_param_values(values).map_err(QueryError::of_sql)
}

fn lines(text: &str) -> DfResult<LogicalPlan> {
    let rows: Vec<_> = text.lines().map(|line| vec![lit(line)]).collect();
    let rows = if rows.is_empty() { vec![vec![lit("")]] } else { rows };
    let column = datafusion::logical_expr::col("column1").alias("plan");
    LogicalPlanBuilder::values(rows)?.project([column])?.build()
}
