//! The examples of docs/filter.md are filters, of the table that their block names.

use crate::check;
use bartizan_filter::Filter;
use bartizan_model::Kind;

#[test]
fn the_examples_of_the_page_are_filters() {
    let page = include_str!("../../../../docs/filter.md");
    let mut table = None;
    let mut seen = 0;
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("```filter") {
            let kind = |kind: &Kind| kind.as_str() == rest.trim();
            table = Some(Kind::ALL.into_iter().find(kind).unwrap_or(Kind::Events));
        } else if line.starts_with("```") {
            table = None;
        } else if let Some(kind) = table {
            let filter = Filter::parse_for(kind, line, &check::context());
            let filter = filter.unwrap_or_else(|e| panic!("{}", e.render(line, false)));
            assert_eq!(Filter::parse_for(kind, &filter.to_string(), &check::context()), Ok(filter), "{line}");
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} examples were found");
}
