//! What a question may name: the tables, views over them, and what there is to know of both.
//!
//! ```text
//! bartizan.public               events flows counters losses rulesets lines, and the view ulog
//! bartizan.information_schema   tables columns schemata
//! ```
//!
//! Nothing else has a name: no file, no setting, no table without the scope of who asks. A view is made of the tables
//! as they are for who asks.

use crate::functions::ADDRESS;
use crate::ulog::ULOG;
use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bartizan_model::Kind;
use bartizan_query::Moment;
use bartizan_schema::table_columns;
use datafusion::catalog::CatalogProviderList;
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{
    CatalogProvider, MemTable, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
    SchemaProvider, TableProvider,
};
use datafusion::error::Result as DfResult;
use datafusion::execution::SessionState;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The one catalog.
pub(crate) const CATALOG: &str = "bartizan";
/// The schema of the tables.
pub(crate) const PUBLIC: &str = "public";
/// The schema of what is known of them.
pub(crate) const INFORMATION: &str = "information_schema";

/// A list of catalogs with the schemas, still without tables.
pub(crate) fn empty() -> DfResult<Arc<dyn CatalogProviderList>> {
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(PUBLIC, Arc::new(MemorySchemaProvider::new()))?;
    catalog.register_schema(INFORMATION, Arc::new(MemorySchemaProvider::new()))?;
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    Ok(Arc::new(list))
}

/// Adds what these names stand for. A name that stands for nothing is an error of the planner.
pub(crate) fn fill(state: &SessionState, moment: &Moment, names: &BTreeSet<String>) -> DfResult<()> {
    let named = |name: &str| names.contains(name);
    let schema = |name: &str| {
        let catalog = state.catalog_list().catalog(CATALOG);
        catalog.and_then(|catalog| catalog.schema(name))
    };
    let (Some(public), Some(information)) = (schema(PUBLIC), schema(INFORMATION)) else {
        return datafusion::common::internal_err!("the catalog lacks its schemas");
    };
    let ulog = named("ulog") || named("columns");
    for kind in Kind::ALL {
        if named(kind.as_str()) || ulog && kind == Kind::Events {
            let plan = moment.table(kind)?;
            public.register_table(kind.as_str().to_owned(), Arc::new(ViewTable::new(plan, None)))?;
        }
    }
    let mut ulog_schema = None;
    if ulog {
        let plan = futures::executor::block_on(state.create_logical_plan(ULOG))?;
        ulog_schema = Some(Arc::clone(plan.schema().inner()));
        public.register_table("ulog".to_owned(), Arc::new(ViewTable::new(plan, None)))?;
    }
    if named("tables") {
        register(&information, "tables", tables()?)?;
    }
    if named("schemata") {
        register(&information, "schemata", schemata()?)?;
    }
    if named("columns") {
        register(&information, "columns", columns(ulog_schema.as_ref())?)?;
    }
    Ok(())
}

fn register(schema: &Arc<dyn SchemaProvider>, name: &str, rows: RecordBatch) -> DfResult<()> {
    let table: Arc<dyn TableProvider> = Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?);
    schema.register_table(name.to_owned(), table)?;
    Ok(())
}

/// One line on each table.
pub(crate) fn described() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let tables = Kind::ALL.into_iter().map(|kind| {
        let what = match kind {
            Kind::Events => "logged packets",
            Kind::Flows => "tracked connections",
            Kind::Counters => "packets and bytes of rules and named objects",
            Kind::Losses => "what was lost, where and why",
            Kind::Rulesets => "rulesets, as they were",
            Kind::Lines => "lines of other services",
        };
        (kind.as_str(), "BASE TABLE", what)
    });
    tables.chain([("ulog", "VIEW", "events with the names of ulogd's tables")])
}

/// Whether a table or view has this name.
pub(crate) fn is_known(name: &str) -> bool {
    described().any(|(known, ..)| known == name)
}

/// The table that may have been meant.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    // Distance costs the product of the lengths.
    if name.len() > 32 {
        return None;
    }
    let name = name.to_lowercase();
    let far = |(known, ..): (&'static str, _, _)| (strsim::damerau_levenshtein(&name, known), known);
    described().map(far).filter(|(far, known)| *far <= known.len() / 3).min().map(|(_, known)| known)
}

fn texts(values: Vec<&str>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

fn rows(columns: Vec<(&str, ArrayRef)>) -> DfResult<RecordBatch> {
    let fields: Vec<_> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), false)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn tables() -> DfResult<RecordBatch> {
    let all: Vec<_> = described().collect();
    rows(vec![
        ("table_catalog", texts(vec![CATALOG; all.len()])),
        ("table_schema", texts(vec![PUBLIC; all.len()])),
        ("table_name", texts(all.iter().map(|(name, _, _)| *name).collect())),
        ("table_type", texts(all.iter().map(|(_, kind, _)| *kind).collect())),
        ("description", texts(all.iter().map(|(_, _, what)| *what).collect())),
    ])
}

fn schemata() -> DfResult<RecordBatch> {
    rows(vec![("catalog_name", texts(vec![CATALOG; 2])), ("schema_name", texts(vec![PUBLIC, INFORMATION]))])
}

fn columns(ulog: Option<&SchemaRef>) -> DfResult<RecordBatch> {
    let mut all: Vec<(&str, &str, usize, DataType, bool, &str)> = Vec::new();
    for kind in Kind::ALL {
        for (i, column) in table_columns(kind).iter().enumerate() {
            all.push((kind.as_str(), column.name, i + 1, column.kind.arrow(), column.nullable, column.doc));
        }
    }
    for (i, field) in ulog.iter().flat_map(|schema| schema.fields()).enumerate() {
        all.push(("ulog", field.name(), i + 1, field.data_type().clone(), field.is_nullable(), ""));
    }
    rows(vec![
        ("table_catalog", texts(vec![CATALOG; all.len()])),
        ("table_schema", texts(vec![PUBLIC; all.len()])),
        ("table_name", texts(all.iter().map(|c| c.0).collect())),
        ("column_name", texts(all.iter().map(|c| c.1).collect())),
        (
            "ordinal_position",
            Arc::new(all.iter().map(|c| i32::try_from(c.2).unwrap_or(i32::MAX)).collect::<Int32Array>()),
        ),
        ("data_type", texts(all.iter().map(|c| type_name(&c.3)).collect())),
        ("is_nullable", texts(all.iter().map(|c| if c.4 { "YES" } else { "NO" }).collect())),
        ("description", texts(all.iter().map(|c| c.5).collect())),
    ])
}

/// A type as a person knows it.
#[must_use]
pub fn type_name(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => "smallint",
        DataType::UInt16 | DataType::Int32 => "integer",
        DataType::UInt32 | DataType::Int64 => "bigint",
        DataType::UInt64 => "unsigned bigint",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, _)
        | DataType::Timestamp(TimeUnit::Nanosecond, _) => "timestamp",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytes",
        kind if *kind == ADDRESS => "address",
        _ => "other",
    }
}
