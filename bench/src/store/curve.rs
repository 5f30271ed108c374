//! What a question costs as the lake grows, drawn: one line per question over the runs that there are.

use super::questions::QUESTIONS;
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 48.0;
/// One for each question, told apart by eyes of any kind.
const COLOURS: [&str; 11] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#7f3c8d", "#80ba5a",
    "#a5aa99", "#e68310",
];

/// Hot milliseconds of each question at each number of events.
type Points = BTreeMap<&'static str, Vec<(f64, f64)>>;

/// Draws the runs in a folder, if there are two or more.
pub(super) fn draw(folder: &Path, out: &Path) -> Result<Option<PathBuf>> {
    let mut points = Points::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let records: Vec<Value> = serde_json::from_slice(&fs::read(&path)?)?;
        let Some(rows) = records.iter().find(|r| r["part"] == "fleet").and_then(|r| r["rows"].as_f64())
        else {
            continue;
        };
        for (name, _) in QUESTIONS {
            let asked = records.iter().find(|r| r["engine"] == "bartizan" && r["question"] == name);
            if let Some(hot) = asked.and_then(|r| r["hot_ms"].as_f64()) {
                points.entry(name).or_default().push((rows, hot));
            }
        }
    }
    for of in points.values_mut() {
        of.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    if points.values().all(|of| of.len() < 2) {
        return Ok(None);
    }
    fs::write(out, svg(&points))?;
    Ok(Some(out.to_owned()))
}

/// Both axes are logarithmic: what grows with the data is a line of slope 1.
fn svg(points: &Points) -> String {
    let all = || points.values().flatten();
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let low = all().map(of).fold(f64::INFINITY, f64::min);
        let high = all().map(of).fold(f64::NEG_INFINITY, f64::max);
        (low.log10().floor(), high.log10().ceil())
    };
    let ((x0, x1), (y0, y1)) = (bounds(|p| p.0), bounds(|p| p.1));
    let x = |value: f64| LEFT + (value.log10() - x0) / (x1 - x0).max(1.0) * (WIDTH - LEFT - RIGHT);
    let y =
        |value: f64| HEIGHT - BOTTOM - (value.log10() - y0) / (y1 - y0).max(1.0) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">Milliseconds of a question over events in the lake, hot, no cached \
         answers</text>\n"
    );
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut grid = |x1: f64, y1: f64, x2: f64, y2: f64| {
        let _ = writeln!(out, "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"#ddd\"/>");
    };
    let decades = |from: f64, to: f64| (from as i32..=to as i32).map(|power| 10_f64.powi(power));
    decades(x0, x1).for_each(|value| grid(x(value), TOP, x(value), bottom));
    decades(y0, y1).for_each(|value| grid(LEFT, y(value), right, y(value)));
    for value in decades(x0, x1) {
        let (at, label) = (x(value), short(value));
        let _ = writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            bottom + 18.0
        );
    }
    for value in decades(y0, y1) {
        let (at, label) = (y(value) + 4.0, short(value));
        let _ = writeln!(out, "<text x=\"{}\" y=\"{at:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0);
    }
    for (n, (name, text)) in QUESTIONS.iter().enumerate() {
        let Some(of) = points.get(name) else { continue };
        let path: Vec<String> = of.iter().map(|p| format!("{:.1} {:.1}", x(p.0), y(p.1))).collect();
        let (colour, at) = (COLOURS[n % COLOURS.len()], TOP + 16.0 * n as f64 + 10.0);
        let _ = writeln!(
            out,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join("L")
        );
        for p in of {
            let _ = writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                x(p.0),
                y(p.1)
            );
        }
        let from = right + 16.0;
        let _ = writeln!(out, "<path d=\"M{from} {at}h14\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" font-size=\"10\">{name} {text}</text>",
            from + 18.0,
            at + 4.0
        );
    }
    out.push_str("</svg>\n");
    out
}

fn short(value: f64) -> String {
    if value >= 1e6 {
        format!("{} M", value / 1e6)
    } else if value >= 1e3 {
        format!("{} k", value / 1e3)
    } else {
        format!("{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_are_a_line_and_one_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let run = |rows: u64, hot: f64| {
            let records = serde_json::json!([
                { "part": "fleet", "rows": rows }, { "engine": "bartizan", "question": "Q7b", "hot_ms": hot },
                { "engine": "duckdb", "question": "Q7b", "hot_ms": 1.0 },
            ]);
            fs::write(dir.path().join(format!("store-{rows}.json")), records.to_string()).unwrap();
        };
        let out = dir.path().join("cost.svg");
        run(1_000_000, 30.0);
        assert_eq!(draw(dir.path(), &out).unwrap(), None);
        run(10_000_000, 300.0);
        assert_eq!(draw(dir.path(), &out).unwrap(), Some(out.clone()));
        let svg = fs::read_to_string(out).unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("&gt; 100 ports") && svg.contains(">10 M<"), "{svg}");
    }
}
