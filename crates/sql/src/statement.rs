//! From text to one statement that may be planned.
//!
//! - Only questions: `SELECT` and what is made of it, `EXPLAIN` of that, `SHOW TABLES`, `SHOW COLUMNS`, `DESCRIBE`.
//! - Plans are walked by recursion, and each use of a table multiplies what a plan holds. So a text has bounds that
//!   no honest question meets: of its length, of operators, of selects, and of uses of tables.
//!
//! Reading is total and linear. Nothing of the engine is in it but the parser that it uses.

use crate::dialect::Questions;
use sqlparser::ast::{Ident, ObjectName, ShowStatementIn, Statement, visit_relations};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Bytes of a question.
pub const MAX_TEXT: usize = 64 << 10;
/// How deep brackets and subqueries may stand in each other.
const MAX_DEPTH: usize = 50;
/// What may make a tree of a plan deeper: operators and their words.
const MAX_OPERATORS: usize = 500;
/// Selects, of unions and subqueries.
const MAX_SELECTS: usize = 50;
/// Uses of tables, views and `WITH` parts. Each may double the columns of a plan.
const MAX_TABLES: usize = 16;
/// `?` and `$1`.
const MAX_PARAMETERS: usize = 1000;

/// Why a text is no question, in words for who wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

/// What is asked.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Rows.
    Rows(Box<Statement>),
    /// How the rows would be found.
    Explain(Box<Statement>),
    /// Which tables there are.
    Tables,
    /// Which columns a table has.
    Columns(String),
}

impl Asked {
    /// The names of what is read, as they are looked up.
    pub(crate) fn tables(&self) -> BTreeSet<String> {
        match self {
            Self::Rows(statement) | Self::Explain(statement) => {
                let mut names = BTreeSet::new();
                let _: ControlFlow<()> = visit_relations(statement, |name| {
                    names.insert(last(name));
                    ControlFlow::Continue(())
                });
                names
            }
            Self::Tables => ["tables".to_owned()].into(),
            Self::Columns(_) => ["columns".to_owned()].into(),
        }
    }
}

/// Reads a text. Each `?` becomes the parameter of its place.
///
/// # Errors
/// [`Refused`] with what is wrong and where.
pub(crate) fn parse(text: &str) -> Result<Asked, Refused> {
    if text.len() > MAX_TEXT {
        return Err(refused(format!("a question is at most {MAX_TEXT} bytes")));
    }
    let dialect = Questions::default();
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location();
    let mut tokens = tokens.map_err(|e| refused(e.to_string()))?;
    bounded(&tokens)?;
    number_parameters(&mut tokens)?;
    dialect.allow(tokens.len());
    let mut parser = Parser::new(&dialect).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(tokens);
    let mut statements = parser.parse_statements().map_err(|error| match dialect.is_spent() {
        true => {
            refused("the question is too intricate: functions such as CAST stand in each other too often")
        }
        false => refused(said(error)),
    })?;
    let statement = match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => statement,
        (None, _) => return Err(refused("there is no statement")),
        (Some(_), false) => return Err(refused("one statement at a time")),
    };
    let asked = asked(statement)?;
    if let Asked::Rows(statement) | Asked::Explain(statement) = &asked {
        let mut uses = 0;
        let _: ControlFlow<()> = visit_relations(statement, |_| {
            uses += 1;
            ControlFlow::Continue(())
        });
        if uses > MAX_TABLES {
            return Err(refused(format!("a question names tables at most {MAX_TABLES} times, not {uses}")));
        }
    }
    Ok(asked)
}

fn asked(statement: Statement) -> Result<Asked, Refused> {
    match statement {
        Statement::Query(_) => Ok(Asked::Rows(Box::new(statement))),
        Statement::Explain { analyze: true, .. } => {
            Err(refused("EXPLAIN ANALYZE is not answered: every answer says what it took"))
        }
        Statement::Explain { statement, .. } if matches!(*statement, Statement::Query(_)) => {
            Ok(Asked::Explain(statement))
        }
        Statement::ShowTables { show_options, .. } if show_options.filter_position.is_none() => {
            Ok(Asked::Tables)
        }
        Statement::ExplainTable { table_name, .. } => Ok(Asked::Columns(last(&table_name))),
        Statement::ShowColumns { show_options, .. } if show_options.filter_position.is_none() => {
            match show_options.show_in {
                Some(ShowStatementIn { parent_name: Some(name), .. }) => Ok(Asked::Columns(last(&name))),
                _ => Err(refused("SHOW COLUMNS FROM which table?")),
            }
        }
        _ => Err(refused(
            "only questions are answered: SELECT, EXPLAIN SELECT, SHOW TABLES, SHOW COLUMNS FROM t, DESCRIBE t",
        )),
    }
}

/// The last part of a name, as names are looked up: in lower case, if it is not quoted.
fn last(name: &ObjectName) -> String {
    match name.0.last().and_then(|part| part.as_ident()) {
        Some(Ident { value, quote_style: None, .. }) => value.to_lowercase(),
        Some(ident) => ident.value.clone(),
        None => String::new(),
    }
}

fn bounded(tokens: &[TokenWithSpan]) -> Result<(), Refused> {
    let (mut operators, mut selects) = (0, 0);
    for token in tokens {
        match &token.token {
            Token::Word(word) => match word.keyword {
                Keyword::SELECT | Keyword::VALUES => selects += 1,
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::RLIKE
                | Keyword::REGEXP
                | Keyword::SIMILAR
                | Keyword::BETWEEN
                | Keyword::CASE
                | Keyword::JOIN
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::MINUS
                | Keyword::INTERSECT
                | Keyword::AT
                | Keyword::COLLATE
                | Keyword::XOR
                | Keyword::DIV => operators += 1,
                _ => {}
            },
            // These stand beside each other, not in each other.
            Token::Whitespace(_)
            | Token::Comma
            | Token::Period
            | Token::SemiColon
            | Token::EOF
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::Placeholder(_)
            // The parser counts brackets by itself.
            | Token::LParen
            | Token::RParen => {}
            _ => operators += 1,
        }
    }
    if operators > MAX_OPERATORS {
        let problem = format!("a question has at most {MAX_OPERATORS} operators, not {operators}");
        return Err(refused(format!("{problem}; write many values as one list: x IN (…)")));
    }
    if selects > MAX_SELECTS {
        return Err(refused(format!("a question has at most {MAX_SELECTS} selects, not {selects}")));
    }
    Ok(())
}

fn number_parameters(tokens: &mut [TokenWithSpan]) -> Result<(), Refused> {
    let mut n = 0;
    for token in tokens {
        if let Token::Placeholder(name) = &mut token.token {
            n += 1;
            if name == "?" {
                *name = format!("${n}");
            }
            let number = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
            if !number.is_some_and(|n| (1..=MAX_PARAMETERS).contains(&n)) {
                return Err(refused(format!(
                    "`{name}` is no parameter: write ?, or $1 to ${MAX_PARAMETERS}"
                )));
            }
        }
    }
    Ok(())
}

fn said(error: ParserError) -> String {
    match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => {
            format!("brackets and subqueries stand at most {MAX_DEPTH} deep")
        }
    }
}

fn refused(text: impl Into<String>) -> Refused {
    Refused(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        match parse(text) {
            Err(Refused(text)) => text,
            other => panic!("{text:.60}: {other:?}"),
        }
    }

    #[test]
    fn questions_are_taken() {
        for text in [
            "SELECT 1",
            "select * from events where dport = 22;",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "VALUES (1), (2)",
            "(SELECT 1) UNION ALL SELECT 2",
            "EXPLAIN SELECT 1",
            "SHOW TABLES",
            "SHOW COLUMNS FROM events",
            "DESCRIBE events",
            "DESC public.events",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
        }
        assert!(matches!(parse("describe \"Odd\"").unwrap(), Asked::Columns(name) if name == "Odd"));
        let names = parse("SELECT * FROM Events JOIN public.flows ON true").unwrap().tables();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["events", "flows"]);
    }

    #[test]
    fn nothing_else_is() {
        for text in [
            "INSERT INTO events VALUES (1)",
            "DELETE FROM events",
            "UPDATE events SET dport = 1",
            "CREATE TABLE t (a INT)",
            "CREATE VIEW v AS SELECT 1",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            "DROP TABLE events",
            "TRUNCATE events",
            "COPY events TO '/tmp/x'",
            "COPY (SELECT 1) TO '/tmp/x'",
            "SET datafusion.execution.batch_size = 1",
            "SHOW ALL",
            "SHOW datafusion.runtime.temp_directory",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "BEGIN",
            "EXPLAIN ANALYZE SELECT 1",
            "EXPLAIN DELETE FROM events",
            "LOAD DATA INPATH '/x' INTO TABLE events",
            "ATTACH DATABASE 'x' AS y",
            "CALL f()",
            "SELECT 1; SELECT 2",
            "",
            ";",
            "--",
            "SELECT",
            "SELEC 1",
            "SELECT 'a",
            "SELECT $0",
            "SELECT $name",
            "SELECT $1001",
        ] {
            assert!(!refusal(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn texts_have_bounds() {
        assert!(refusal(&"x".repeat(MAX_TEXT + 1)).contains("bytes"));
        let sum = |n: usize| format!("SELECT 1{}", "+1".repeat(n));
        assert!(parse(&sum(MAX_OPERATORS)).is_ok());
        assert!(refusal(&sum(MAX_OPERATORS + 1)).contains("operators"));
        assert!(refusal(&format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000))).contains("deep"));
        assert!(!refusal(&format!("SELECT {}1", "NOT ".repeat(400))).is_empty());
        assert!(refusal(&vec!["SELECT 1"; 51].join(" UNION ")).contains("selects"));
        let tables = |n: usize| format!("SELECT 1 FROM {}", vec!["events"; n].join(","));
        assert!(parse(&tables(MAX_TABLES)).is_ok());
        assert!(refusal(&tables(MAX_TABLES + 1)).contains("times"));
        let list = format!("SELECT 1 WHERE 1 IN ({})", vec!["1"; 10_000].join(","));
        assert!(parse(&list).is_ok(), "a long list is one operator");
    }

    /// Each level doubles what the parser does, or more: without a bound these take longer than anybody lives.
    #[test]
    fn words_in_each_other_are_read_in_linear_time() {
        for (open, inside, close) in [
            ("CAST(", "1", " AS INT)"),
            ("CAST(", "1", ""),
            ("ARRAY[", "1", ""),
            ("ARRAY[", "1", "]"),
            ("POSITION(", "1", ")"),
            ("SUBSTRING(", "1", ""),
            ("CONVERT(", "1", ")"),
            ("CEIL(", "1", ""),
            ("TRIM(CAST(POSITION(", "1", ")"),
        ] {
            // That this comes back is what is asked: without the bound each of them takes years.
            let whole = parse(&format!("SELECT {}{inside}{}", open.repeat(46), close.repeat(46)));
            assert!(!close.is_empty() || whole.is_err(), "{open}");
        }
        // What people write is far from it.
        let list = vec!["POSITION('a' IN lower(CAST(TRIM(host) AS TEXT))) > 1"; 60].join(" OR ");
        assert!(parse(&format!("SELECT * FROM events WHERE {list}")).is_ok());
        let many = vec!["CAST(CEIL(EXTRACT(epoch FROM time)) AS INT)"; 1000].join(",");
        assert!(parse(&format!("SELECT {many} FROM events")).is_ok());
    }

    #[test]
    fn parameters_are_numbered() {
        let Asked::Rows(statement) = parse("SELECT ? + ?, '?'").unwrap() else { panic!() };
        assert_eq!(statement.to_string(), "SELECT $1 + $2, '?'");
    }

    const PIECES: &[&str] = &[
        "SELECT", "*", "FROM", "events", "WHERE", "(", ")", ",", "a", "1", "'x'", "\"q\"", "=", "+", "-",
        "NOT", "AND", "OR", "IN", "BETWEEN", "CASE", "WHEN", "THEN", "END", "WITH", "AS", "UNION", "ALL",
        "JOIN", "ON", "GROUP", "BY", "ORDER", "LIMIT", ";", "?", "$1", "::", "[", "]", ".", "EXPLAIN",
        "DESCRIBE", "SHOW", "TABLES", "INTERVAL", "CAST", "--", "/*", "*/", "\\", "$$", "E'", "VALUES",
        "OVER", "FILTER", "LATERAL", "INSERT", "INTO", "|>",
    ];

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]
        #[test]
        fn any_text_is_a_question_or_an_error(text in ".{0,200}") {
            let _ = parse(&text).map(|asked| asked.tables());
        }

        #[test]
        fn any_pieces_are_a_question_or_an_error(
            pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60),
        ) {
            let _ = parse(&pieces.join(" ")).map(|asked| asked.tables());
        }
    }
}
