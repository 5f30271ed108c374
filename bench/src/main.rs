//! Figures beside their goals: `make bench`, or `make bench-NAME` for some of them.
//!
//! Every figure is one JSON line, `{"figure","value","unit","goal","peer","peer_value","ok"}`, and all of them are
//! a table at the end. A goal that is missed is said, and does not fail the run: figures are for people.
//!
//! The real binaries are measured on real packets in network namespaces, each beside its peer in the same run.
//! Parts of the product are measured by the `examples` of their crates, which print the same lines.

mod agents;
mod api;
mod capture;
mod database;
mod delivery;
mod figure;
mod fleet;
mod history;
mod kept;
mod latency;
mod layout;
mod machine;
mod page;
mod parts;
mod rollups;
mod store;
mod syslog;
mod ulogd;

use anyhow::{Result, bail};
use figure::{Figure, table};
use std::path::Path;

/// That of the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAMES: &[&str] = &[
    "decode", "text", "spool", "lake", "capture", "delivery", "latency", "import", "database", "syslog",
    "enrich", "filter",
];
/// For those who ask for them: parts of `capture`, and experiments.
const PARTS: &[&str] = &["forward", "flows", "layout"];

fn main() -> Result<()> {
    let named: Vec<String> = std::env::args().skip(1).collect();
    // this program as the reader that only counts, in a namespace of its own bench
    if let [verb, group] = named.as_slice()
        && verb == "count"
    {
        say(&capture::count(group.parse()?)?.to_string());
        return Ok(());
    }
    match named.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        Some(("fleet", rest)) => return files_of_fleet(rest),
        Some(("store-part", rest)) => {
            say(&store::run_part(rest)?.to_string());
            return Ok(());
        }
        Some((verb @ ("store" | "store-report"), rest)) => {
            let (mut figures, mut matrix) = (Vec::new(), String::new());
            let mut figure = |figure| show(&mut figures, figure);
            let mut say_later = |text: &str| matrix += text;
            match rest {
                [events] if verb == "store-report" => {
                    store::report(events.parse()?, &mut figure, &mut say_later)?;
                }
                _ => store::run(rest, &mut figure, &mut say_later)?,
            }
            say(&table(&figures));
            say(&matrix);
            return Ok(());
        }
        _ => {}
    }
    if let Some((verb @ ("api" | "page" | "agents"), rest)) =
        named.split_first().map(|(verb, rest)| (verb.as_str(), rest))
    {
        let (mut figures, lake) = (Vec::new(), rest.first().map(Path::new));
        let figure = &mut |figure| show(&mut figures, figure);
        match verb {
            "api" => api::run(lake, figure)?,
            "page" => page::run(lake, figure)?,
            _ => agents::run(rest, figure)?,
        }
        say(&table(&figures));
        return Ok(());
    }
    if let [verb, events, dir] = named.as_slice()
        && verb == "rollups"
    {
        return rollups::run(events.parse()?, dir.as_ref(), &mut |figure| say(&figure.line()));
    }
    if let Some(unknown) = named.iter().find(|n| !NAMES.contains(&n.as_str()) && !PARTS.contains(&n.as_str()))
    {
        bail!("there is no bench `{unknown}`; there are {}, {}", NAMES.join(", "), PARTS.join(", "));
    }
    let mut figures = Vec::new();
    let asked = |name: &&&str| named.iter().any(|n| n == **name);
    let all = NAMES.iter().filter(|n| named.is_empty() || asked(n));
    for name in all.chain(PARTS.iter().filter(asked)) {
        run(name, &mut |figure: Figure| show(&mut figures, figure))?;
    }
    say(&table(&figures));
    Ok(())
}

fn show(figures: &mut Vec<Figure>, figure: Figure) {
    say(&figure.line());
    figures.push(figure);
}

/// `fleet FORM EVENTS FOLDER`: the events of the store's bench as files.
fn files_of_fleet(args: &[String]) -> Result<()> {
    let [form, events, dir] = args else {
        bail!("usage: bartizan-bench fleet wire|parquet|json|tsv EVENTS FOLDER")
    };
    let plan = fleet::Plan::of(events.parse()?);
    let written = fleet::write(plan, fleet::Batching::bulk(plan), dir.as_ref(), fleet::Form::parse(form)?)?;
    say(&format!("{written} events"));
    Ok(())
}

fn run(name: &str, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    match name {
        "decode" => parts::run("decode_ns", figure),
        "text" => {
            parts::run("text_ns", figure)?;
            parts::run("text_rows", figure)?;
            parts::run("record_rows", figure)
        }
        "enrich" => parts::run("enrich_ns", figure),
        "filter" => parts::run("filter_us", figure),
        "spool" => parts::run("spool_mbps", figure),
        "lake" => parts::run("commit_cost", figure),
        "capture" => capture::run(figure),
        "forward" => capture::forward(figure),
        "flows" => capture::flows(figure),
        "layout" => layout::run(&mut |line| say(line), figure),
        "delivery" => delivery::run(figure),
        "import" => history::run(figure),
        "syslog" => syslog::run(figure),
        "database" => database::run(figure),
        _ => latency::run(figure),
    }
}

#[expect(clippy::print_stdout, reason = "figures are what this program is for")]
fn say(text: &str) {
    println!("{text}");
}
