//! The live view on a terminal.
//!
//! States are told by words and not by colour alone. What does not fit is cut, never wrapped.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};

use super::model::{AlertRow, Model, Screen};
use super::plain::{known, rate, remark};
use crate::term;

const KEYS: &str = "q leave   ↑↓ choose a pipeline   s sort   f freeze";

/// Draws everything.
pub(super) fn screen(frame: &mut Frame<'_>, model: &Model) {
    let screen = model.screen();
    let rows = |count: usize| Constraint::Length(count as u16 + 3);
    let parts = Layout::vertical([
        Constraint::Length(1),
        rows(screen.pipelines.len().clamp(1, 10)),
        rows(screen.stages.len().max(1)),
        rows(screen.shards.len().clamp(1, 8)),
        Constraint::Min(3),
        Constraint::Length(1),
    ]);
    let [head, pipelines, stages, shards, alerts, foot] = parts.areas(frame.area());
    frame.render_widget(Paragraph::new(title(model, &screen)), head);
    draw_pipelines(frame, pipelines, model, &screen);
    draw_stages(frame, stages, &screen);
    draw_shards(frame, shards, &screen);
    draw_alerts(frame, alerts, &screen.alerts);
    frame.render_widget(Paragraph::new(KEYS).style(Style::new().add_modifier(Modifier::DIM)), foot);
}

fn title(model: &Model, screen: &Screen) -> Line<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    if let Some(trouble) = &model.trouble {
        return Line::styled(format!("millrace top   NO ANSWER: {trouble}"), bold.fg(Color::Red));
    }
    let sum = |of: fn(&super::model::PipelineRow) -> Option<f64>| {
        screen.pipelines.iter().map(of).sum::<Option<f64>>()
    };
    let (received, delivered) = (rate(sum(|row| row.received_per_s)), rate(sum(|row| row.delivered_per_s)));
    let cost = screen.usd_per_day.map_or_else(String::new, |usd| format!("   {usd:.2} USD a day"));
    let frozen = if model.is_frozen() { "   FROZEN" } else { "" };
    Line::styled(
        format!("millrace top   received {received}/s   delivered {delivered}/s{cost}{frozen}"),
        bold,
    )
}

fn block(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).title(title)
}

fn head<const N: usize>(names: [&'static str; N]) -> Row<'static> {
    Row::new(names).style(Style::new().add_modifier(Modifier::DIM))
}

fn draw_pipelines(frame: &mut Frame<'_>, area: Rect, model: &Model, screen: &Screen) {
    // The selected row stays in sight however many there are.
    let room = usize::from(area.height.saturating_sub(2)).max(1);
    let first = model.selected().saturating_sub(room - 1);
    let rows = screen.pipelines.iter().enumerate().skip(first).map(|(number, row)| {
        let cells = [
            row.name.clone(),
            row.state.clone(),
            rate(row.received_per_s),
            rate(row.delivered_per_s),
            rate(row.rejected_per_s),
            term::thousands(row.in_flight),
            known(row.waiting),
            row.pollers.to_string(),
            row.reason.clone(),
        ];
        let colour = match row.state.as_str() {
            "running" => Color::Reset,
            "broken" => Color::Red,
            _ => Color::Yellow,
        };
        let mut style = Style::new().fg(colour);
        if number == model.selected() {
            style = style.add_modifier(Modifier::REVERSED);
        }
        Row::new(cells).style(style)
    });
    let widths = [18, 9, 11, 12, 11, 10, 12, 6, 40].map(Constraint::Length);
    let table = Table::new(rows, widths)
        .header(head([
            "pipeline",
            "state",
            "received/s",
            "delivered/s",
            "rejected/s",
            "in flight",
            "waiting",
            "polls",
            "",
        ]))
        .block(block(format!(" pipelines, by {} ", model.sort.as_str())));
    frame.render_widget(table, area);
}

fn draw_stages(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let rows = screen.stages.iter().map(|row| {
        let [p50, p90, p99, p999, max] =
            [row.p50_us, row.p90_us, row.p99_us, row.p999_us, row.max_us].map(term::micros);
        Row::new([row.stage.clone(), term::thousands(row.count), p50, p90, p99, p999, max])
    });
    let of = screen.stages_of.as_deref().unwrap_or("all pipelines");
    let table = Table::new(rows, [18, 12, 10, 10, 10, 10, 10].map(Constraint::Length))
        .header(head(["stage", "count", "p50", "p90", "p99", "p99.9", "max"]))
        .block(block(format!(" latency of {of}, last minute ")));
    frame.render_widget(table, area);
}

fn draw_shards(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let rows = screen.shards.iter().map(|row| {
        let busy = row.busy_ratio.map_or_else(|| "–".to_owned(), |busy| format!("{:.0} %", busy * 100.0));
        let still = if row.still_s > 5.0 { format!("STILL for {:.0} s", row.still_s) } else { String::new() };
        let (core, held, stall) =
            (known(row.core), term::thousands(row.in_flight), term::micros(row.stall_us));
        Row::new([row.shard.to_string(), core, busy, held, stall, still])
    });
    let table = Table::new(rows, [6, 6, 7, 11, 10, 20].map(Constraint::Length))
        .header(head(["shard", "core", "busy", "in flight", "stall", ""]))
        .block(block(" shards ".to_owned()));
    frame.render_widget(table, area);
}

fn draw_alerts(frame: &mut Frame<'_>, area: Rect, alerts: &[AlertRow]) {
    let line = |alert: &AlertRow| {
        let text =
            format!("{} {} {}: {}{}", alert.state, alert.severity, alert.rule, alert.text, remark(alert));
        let is_loud = alert.state == "firing" && !alert.is_silenced;
        Line::styled(text, if is_loud { Style::new().fg(Color::Red) } else { Style::new() })
    };
    let lines: Vec<Line<'_>> =
        if alerts.is_empty() { vec![Line::from("none")] } else { alerts.iter().map(line).collect() };
    frame.render_widget(Paragraph::new(lines).block(block(format!(" alerts: {} ", alerts.len()))), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::model::fixture;
    use super::*;

    fn drawn(model: &Model, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen(frame, model)).unwrap();
        let buffer = terminal.backend().buffer();
        let cells = buffer.content().chunks(usize::from(width));
        cells.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>() + "\n").collect()
    }

    #[test]
    fn everything_is_on_one_screen() {
        let text = drawn(&fixture::model(), 120, 30);
        for part in [
            "delivered/s",
            "orders",
            "refunds",
            "produce_to_ack",
            "40 %",
            "alerts: 1",
            "breaker-open",
            "q leave",
        ] {
            assert!(text.contains(part), "no `{part}` in:\n{text}");
        }
    }

    #[test]
    fn an_appliance_that_does_not_answer_is_said_to() {
        let mut model = fixture::model();
        model.trouble = Some("connection refused".to_owned());
        assert!(drawn(&model, 100, 24).contains("NO ANSWER: connection refused"));
    }

    #[test]
    fn no_size_of_a_terminal_breaks_it() {
        for (width, height) in [(1, 1), (20, 5), (80, 24), (300, 100)] {
            drawn(&fixture::model(), width, height);
            drawn(&Model::default(), width, height);
        }
    }
}
