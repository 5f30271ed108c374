//! One figure: what was measured, beside its goal and its peer.

use serde_json::{Value, json};

/// What a value has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Below this.
    Under(f64),
    /// This or more.
    AtLeast(f64),
    /// Exactly this.
    Equal(f64),
    /// Nothing was promised.
    None,
}

/// A measured value.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    name: String,
    value: f64,
    unit: String,
    goal: String,
    ok: Option<bool>,
    peer: Option<(String, f64)>,
}

impl Figure {
    pub(crate) fn new(name: &str, value: f64, unit: &str, goal: Goal) -> Self {
        let (goal, ok) = match goal {
            Goal::Under(limit) => (format!("< {limit}"), Some(value < limit)),
            Goal::AtLeast(limit) => (format!(">= {limit}"), Some(value >= limit)),
            Goal::Equal(exact) => (format!("= {exact}"), Some((value - exact).abs() < f64::EPSILON)),
            Goal::None => (String::new(), None),
        };
        Self { name: name.to_owned(), value, unit: unit.to_owned(), goal, ok, peer: None }
    }

    /// The same of another program, measured in the same run.
    pub(crate) fn beside(mut self, peer: &str, value: f64) -> Self {
        self.peer = Some((peer.to_owned(), value));
        self
    }

    /// The figure that a line of JSON says; `None` for any other line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        Some(Self {
            name: value["figure"].as_str()?.to_owned(),
            value: value["value"].as_f64()?,
            unit: text("unit"),
            goal: text("goal"),
            ok: value["ok"].as_bool(),
            peer: value["peer"]
                .as_str()
                .map(|p| (p.to_owned(), value["peer_value"].as_f64().unwrap_or(f64::NAN))),
        })
    }

    pub(crate) fn line(&self) -> String {
        let peer = self.peer.as_ref();
        json!({
            "figure": self.name, "value": rounded(self.value), "unit": self.unit, "goal": self.goal,
            "peer": peer.map(|p| &p.0), "peer_value": peer.map(|p| rounded(p.1)), "ok": self.ok,
        })
        .to_string()
    }
}

/// Three digits are what a noisy machine can tell.
fn rounded(value: f64) -> f64 {
    if value.abs() >= 1000.0 { value.round() } else { (value * 1000.0).round() / 1000.0 }
}

/// All figures for people.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut out =
        format!("\n{:<44} {:>12} {:<14} {:<10} {:<6} peer\n", "figure", "value", "unit", "goal", "");
    for f in figures {
        let ok = f.ok.map_or("", |ok| if ok { "ok" } else { "MISSED" });
        let peer =
            f.peer.as_ref().map(|(name, value)| format!("{name} {}", rounded(*value))).unwrap_or_default();
        out += &format!(
            "{:<44} {:>12} {:<14} {:<10} {ok:<6} {peer}\n",
            f.name,
            rounded(f.value),
            f.unit,
            f.goal
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let figure = Figure::new("decode", 61.5, "ns/packet", Goal::Under(60.0)).beside("walk", 26.0);
        let line = figure.line();
        assert!(line.contains(r#""ok":false"#), "{line}");
        assert_eq!(Figure::parse(&line).map(|f| f.line()), Some(line));
        assert!(Figure::parse("4096 messages").is_none());
    }
}
