//! How the screen is drawn. Only rows that are seen are read, and a terminal gets only the cells that changed.

use super::{
    app::{App, COLUMNS, Focus, WINDOWS},
    feed::{BARS, Bars},
};
use crate::escape::for_terminal;
use jiff::Timestamp;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Position, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Clear, Paragraph, Sparkline},
};
use serde_json::{Map, Value};

/// Lines of the histogram, with the one that says what it is.
const BARS_HEIGHT: u16 = 4;
const FACETS_WIDTH: u16 = 30;

const HELP: &str = "\
space =  hold the display, or follow    /      write the filter
j k      row down, up; PgUp PgDn g G    + -    only with, or without the cell
h l      cell left, right               z      the filter before
e E      next, previous drop            tab    rows, values, terms
enter    all of the row                 x ! o  a term: out, turned over, off
f        most frequent values           i      histogram
[ ]      look further back, less far    u      local time or UTC
esc      back                           q      end";

/// Looks: with colour, or without.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) colour: bool,
}

impl Look {
    fn of(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    fn action(self, action: &str) -> Style {
        match action {
            "drop" => self.of(Color::Red),
            "reject" => self.of(Color::Yellow),
            "accept" => self.of(Color::Green),
            _ => Style::new(),
        }
    }
}

const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, look: Look) {
    let bars = if app.show_bars { BARS_HEIGHT } else { 0 };
    let [status_area, chips_area, bars_area, middle, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(bars),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(status(app, look), status_area);
    frame.render_widget(chips(app, look), chips_area);
    if app.show_bars {
        histogram(frame, bars_area, app, look);
    }
    let facets_width = if app.show_facets { FACETS_WIDTH.min(middle.width / 2) } else { 0 };
    let [rows_area, facets_area] =
        Layout::horizontal([Constraint::Min(20), Constraint::Length(facets_width)]).areas(middle);
    if let Some(first) = app.details {
        app.details = Some(details(frame, rows_area, app, first));
    } else {
        rows(frame, rows_area, app, look);
    }
    if app.show_facets {
        facets(frame, facets_area, app);
    }
    footer(frame, foot, app, look);
    if app.help {
        help(frame);
    }
}

fn status(app: &App, look: Look) -> Line<'static> {
    let mut spans = vec![Span::styled(" bartizan ", SELECTED), Span::raw(" ")];
    let state = match (app.connected, app.follow) {
        (false, _) => Span::styled("NO CONNECTION", look.of(Color::Red).patch(BOLD)),
        (true, true) => Span::styled("LIVE", look.of(Color::Green).patch(BOLD)),
        (true, false) => Span::styled("HELD", look.of(Color::Yellow).patch(BOLD)),
    };
    spans.push(state);
    if !app.follow {
        spans.push(Span::raw(format!(" +{} new", thousands(app.new_rows()))));
    }
    if let Some(rate) = app.rate {
        spans.push(Span::raw(format!("  {}/s", thousands(rate))));
    }
    if let Some(lag) = app.lag_ms {
        spans.push(Span::raw(format!("  lag {}.{} s", lag / 1000, lag % 1000 / 100)));
    }
    spans.push(Span::raw(format!("  {} rows", thousands(app.ring.end() - app.ring.first()))));
    let skipped = app.counters.skipped + app.dropped;
    if app.counters.sampled > 0 {
        let share = app.counters.matched / app.counters.shown.max(1);
        spans.push(Span::styled(format!("  1:{share} shown"), BOLD));
    }
    if skipped > 0 {
        let text = format!("  {} skipped", thousands(skipped));
        spans.push(Span::styled(text, look.of(Color::Red).patch(BOLD)));
    }
    spans.push(Span::raw(if app.utc { "  UTC" } else { "  local time" }));
    Line::from(spans)
}

fn chips(app: &App, look: Look) -> Line<'static> {
    if app.chips.is_empty() {
        return Line::styled(" everything; / writes a filter", Style::new().add_modifier(Modifier::DIM));
    }
    let mut spans = Vec::new();
    for (at, chip) in app.chips.iter().enumerate() {
        let mut style = look.of(Color::Cyan);
        if !chip.on {
            style = style.add_modifier(Modifier::CROSSED_OUT | Modifier::DIM);
        }
        if app.focus == Focus::Chips && at == app.chip {
            style = style.patch(SELECTED);
        }
        let off = if chip.on { "" } else { "off: " };
        spans.push(Span::raw(" "));
        spans.push(Span::styled(format!("[{off}{}]", for_terminal(&chip.text)), style));
    }
    Line::from(spans)
}

fn histogram(frame: &mut Frame<'_>, area: Rect, app: &App, look: Look) {
    let [graph, label] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(area);
    let empty = Bars::default();
    let bars = app.bars.as_ref().unwrap_or(&empty);
    // Each bar as wide as there is room for all.
    let wide = (usize::from(graph.width) / BARS as usize).max(1);
    let shown = (usize::from(graph.width) / wide).min(bars.packets.len());
    let newest = &bars.packets[bars.packets.len() - shown..];
    let data: Vec<u64> = newest.iter().flat_map(|n| std::iter::repeat_n(*n, wide)).collect();
    frame.render_widget(Sparkline::default().data(&data).style(look.of(Color::Blue)), graph);
    let (_, window) = WINDOWS[app.window];
    let text = match (&app.bars, bars.from) {
        (Some(_), Some(from)) => format!(
            " {} to now ({window}), {} packets, most {} in {} s",
            clock(from, app, false),
            thousands(bars.packets.iter().sum()),
            thousands(bars.packets.iter().copied().max().unwrap_or_default()),
            bars.width,
        ),
        _ => format!(" the last {window} …"),
    };
    frame.render_widget(Line::styled(text, Style::new().add_modifier(Modifier::DIM)), label);
}

/// What a row shows in a column.
fn cell(row: &Map<String, Value>, column: usize, app: &App) -> String {
    let (_, member, _, _) = COLUMNS[column];
    match row.get(member) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if column == 0 => match text.parse() {
            Ok(time) => clock(time, app, true),
            Err(_) => for_terminal(text).into_owned(),
        },
        Some(Value::String(text)) => for_terminal(text).into_owned(),
        Some(other) => other.to_string(),
    }
}

fn clock(time: Timestamp, app: &App, fine: bool) -> String {
    let format = if fine { "%H:%M:%S%.3f" } else { "%m-%d %H:%M" };
    match app.utc {
        true => time.strftime(format).to_string(),
        false => time.to_zoned(app.zone.clone()).strftime(format).to_string(),
    }
}

fn rows(frame: &mut Frame<'_>, area: Rect, app: &mut App, look: Look) {
    let height = usize::from(area.height.saturating_sub(1));
    app.page = height;
    if app.ring.is_empty() {
        let text = if app.connected { " nothing matches so far; waiting" } else { " connecting …" };
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    // A held page moves only as far as the cursor needs it.
    let (height, last) = (height as u64, app.shown_until());
    app.top = match app.follow {
        true => last.saturating_sub(height),
        false => app.top.min(app.cursor).max((app.cursor + 1).saturating_sub(height)),
    };
    app.top = app.top.max(app.ring.first());
    let from = app.top;
    let shown: Vec<(u64, Map<String, Value>)> =
        (from..last.min(from + height)).filter_map(|n| Some((n, app.ring.row(n)?))).collect();
    let cells: Vec<Vec<String>> =
        shown.iter().map(|(_, row)| (0..COLUMNS.len()).map(|c| cell(row, c, app)).collect()).collect();
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|c| {
            let widest = cells.iter().map(|row| row[c].chars().count()).max().unwrap_or_default();
            widest.clamp(COLUMNS[c].0.len(), COLUMNS[c].3.max(COLUMNS[c].0.len()))
        })
        .collect();
    let first = first_column(&widths, app.cell, usize::from(area.width));
    let mut lines = vec![Line::from(
        (first..COLUMNS.len())
            .map(|c| Span::styled(padded(COLUMNS[c].0, widths[c]), BOLD))
            .collect::<Vec<_>>(),
    )];
    for ((number, row), cells) in shown.iter().zip(&cells) {
        let selected = *number == app.cursor && app.focus == Focus::Rows && !app.follow;
        let action = row.get("action").and_then(Value::as_str).unwrap_or_default();
        let spans = (first..COLUMNS.len()).map(|c| {
            let mut style = if c == 2 { look.action(action) } else { Style::new() };
            if selected && c == app.cell {
                style = style.patch(SELECTED);
            } else if selected {
                style = style.patch(BOLD).add_modifier(Modifier::UNDERLINED);
            }
            Span::styled(padded(&cells[c], widths[c]), style)
        });
        lines.push(Line::from(spans.collect::<Vec<_>>()));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The first column that is drawn, so that the selected one can be seen.
fn first_column(widths: &[usize], cell: usize, room: usize) -> usize {
    let mut first = 0;
    while first < cell && widths[first..=cell].iter().map(|w| w + 1).sum::<usize>() > room {
        first += 1;
    }
    first
}

/// Cut or filled to a width, and a space.
fn padded(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length > width {
        let cut: String = text.chars().take(width.saturating_sub(1)).collect();
        return format!("{cut}… ");
    }
    format!("{text}{} ", " ".repeat(width - length))
}

/// Draws the details from a line on, or from the last that leaves the page full; gives that line.
fn details(frame: &mut Frame<'_>, area: Rect, app: &App, first: usize) -> usize {
    let Some(row) = app.row() else { return 0 };
    let lines: Vec<String> = row
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{:<12} {}", for_terminal(name), for_terminal(&text))
        })
        .collect();
    let block = Block::new().borders(Borders::TOP).title(" all of the row; esc goes back ");
    let height = usize::from(area.height.saturating_sub(1));
    let first = first.min(lines.len().saturating_sub(height));
    let shown: Vec<Line<'_>> = lines[first..].iter().map(|line| Line::raw(line.as_str())).collect();
    frame.render_widget(Paragraph::new(shown).block(block), area);
    first
}

fn facets(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let (_, window) = WINDOWS[app.window];
    let block = Block::new().borders(Borders::LEFT).title(format!(" most frequent, {window} "));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let width = usize::from(inner.width);
    let mut lines = Vec::new();
    let mut selected = 0;
    for (field, values) in app.facet_groups() {
        lines.push(Line::styled(field, BOLD));
        for (at, facet) in values {
            let packets = thousands(facet.packets);
            let value = match &facet.value {
                None => "(none)".to_owned(),
                Some(Value::String(text)) => for_terminal(text).into_owned(),
                Some(other) => other.to_string(),
            };
            let text = padded(&value, width.saturating_sub(packets.len() + 3));
            let here = app.focus == Focus::Facets && at == app.facet;
            if here {
                selected = lines.len();
            }
            lines.push(Line::styled(format!(" {text}{packets}"), if here { SELECTED } else { Style::new() }));
        }
    }
    if lines.is_empty() {
        lines.push(Line::raw(" …"));
    }
    let first = (selected + 2).saturating_sub(usize::from(inner.height));
    let first = u16::try_from(first).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(lines).scroll((first, 0)), inner);
}

fn footer(frame: &mut Frame<'_>, area: Rect, app: &App, look: Look) {
    if let Some(edit) = &app.edit {
        // What is left of the line once the prompt stands there.
        let room = usize::from(area.width).saturating_sub(3).max(1);
        let skipped = edit.at.saturating_sub(room);
        let text: String = edit.text.chars().skip(skipped).collect();
        let mut spans = vec![Span::styled("/ ", BOLD), Span::raw(for_terminal(&text).into_owned())];
        if let Some(problem) = &edit.problem {
            spans.push(Span::styled(format!("  {problem}"), look.of(Color::Red)));
        }
        frame.render_widget(Line::from(spans), area);
        let column = area.x + 2 + u16::try_from(edit.at - skipped).unwrap_or_default();
        frame.set_cursor_position(Position::new(column.min(area.right().saturating_sub(1)), area.y));
        return;
    }
    if let Some(problem) = &app.problem {
        let text = format!(" {}", for_terminal(&problem.replace('\n', " ")));
        frame.render_widget(Line::styled(text, look.of(Color::Red)), area);
        return;
    }
    let text = match app.focus {
        Focus::Rows => " ? help  / filter  + - with cell  enter details  space hold  f facets  q end",
        Focus::Facets => " j k value  + only  - without  f close  tab filter  esc rows",
        Focus::Chips => " h l term  x take out  ! turn over  o on, off  z undo  esc rows",
    };
    frame.render_widget(Line::styled(text, Style::new().add_modifier(Modifier::DIM)), area);
}

fn help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let height = u16::try_from(HELP.lines().count()).unwrap_or(8) + 2;
    let top = area.height.saturating_sub(height) / 2;
    let area = Rect { y: top, height: height.min(area.height), ..area };
    frame.render_widget(Clear, area);
    let block = Block::new().borders(Borders::ALL).title(" keys ");
    frame.render_widget(Paragraph::new(HELP).block(block), area);
}

/// `1,234,567`
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
