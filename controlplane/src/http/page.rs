//! The page at `/`: the figures as plain tables, drawn by the server, read again every second.
//!
//! Pure. No script, no style in the document, everything from outside escaped: the page shows type names that
//! senders of messages choose.

use std::fmt::Write;

use dataplane::stats::STAGES;

use super::curve;
use crate::snapshot::{Pipeline, Snapshot, state_text};
use crate::term::{bytes, micros, thousands};

/// The style sheet, served beside the page so that the policy can forbid styles within it.
pub(super) const STYLE: &str = "\
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .15rem .9rem .15rem 0; text-align: right; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
th:first-child, td:first-child { text-align: left; }
.bad { color: #c62828; font-weight: 600; } .good { color: #2e7d32; }
footer { margin-top: 2rem; opacity: .7; font-size: .85rem; }
";

/// How one gets the dashboard.
const NOT_BUILT: &str = " This binary has no dashboard: <code>make dashboard</code>, then build it again.";

/// Message types shown; `/snapshot` has all.
const TYPES_SHOWN: usize = 16;

/// Draws the page; without a dashboard in this binary it tells how one gets it.
pub(super) fn draw(snapshot: &Snapshot, has_dashboard: bool) -> String {
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"1\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Millrace</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"></head><body>\n<h1>Millrace</h1>\n",
    );
    for pipeline in &snapshot.pipelines {
        draw_pipeline(&mut html, pipeline);
    }
    let _ = writeln!(
        html,
        "<footer>The same as JSON: <a href=\"/snapshot\">/snapshot</a>; for Prometheus: <a href=\"/metrics\">/metrics</a>; \
         health: <a href=\"/readyz?verbose\">/readyz</a>, <a href=\"/livez?verbose\">/livez</a>.{}</footer></body></html>",
        if has_dashboard { "" } else { NOT_BUILT }
    );
    html
}

fn draw_pipeline(html: &mut String, pipeline: &Pipeline) {
    let totals = &pipeline.totals;
    let _ = writeln!(html, "<h2>{}: {}</h2>", escape(&pipeline.name), state_text(pipeline.state));
    if !pipeline.reason.is_empty() {
        let _ = writeln!(html, "<p class=\"bad\">{}</p>", escape(&pipeline.reason));
    }
    html.push_str("<table><thead><tr>");
    let columns = [
        ("received", totals.received),
        ("delivered", totals.delivered),
        ("rejected", totals.rejected),
        ("filtered", totals.filtered),
        ("released", totals.released),
        ("lease lost", totals.lease_lost),
        ("in flight", totals.in_flight),
    ];
    for (name, _) in columns {
        let _ = write!(html, "<th scope=\"col\">{name}</th>");
    }
    html.push_str("<th scope=\"col\">adds up</th></tr></thead><tbody><tr>");
    for (_, count) in columns {
        let _ = write!(html, "<td>{}</td>", thousands(count));
    }
    let law = match totals.unaccounted() {
        0 => "<td class=\"good\">yes</td>".to_owned(),
        count => format!("<td class=\"bad\">{count} unaccounted</td>"),
    };
    let _ = writeln!(html, "{law}</tr></tbody></table>");
    curve::draw(html, &pipeline.latency_us);
    draw_latency(html, pipeline);
    draw_types(html, pipeline);
}

fn draw_latency(html: &mut String, pipeline: &Pipeline) {
    html.push_str("<table><thead><tr>");
    for name in ["stage", "count", "p50", "p90", "p99", "p99.9", "max"] {
        let _ = write!(html, "<th scope=\"col\">{name}</th>");
    }
    html.push_str("</tr></thead><tbody>\n");
    for stage in STAGES.map(dataplane::stats::Stage::as_str) {
        let Some(row) = pipeline.latency_us.get(stage) else { continue };
        let _ = write!(html, "<tr><td>{}</td><td>{}</td>", stage.replace('_', " "), thousands(row.count));
        for us in [row.p50, row.p90, row.p99, row.p999, row.max] {
            let _ = write!(html, "<td>{}</td>", if row.count == 0 { "–".to_owned() } else { micros(us) });
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table>\n");
}

fn draw_types(html: &mut String, pipeline: &Pipeline) {
    if pipeline.types.is_empty() {
        return;
    }
    html.push_str("<table><thead><tr><th scope=\"col\">type</th><th scope=\"col\">messages</th><th scope=\"col\">size</th><th scope=\"col\">rejected</th></tr></thead><tbody>\n");
    for one in pipeline.types.iter().take(TYPES_SHOWN) {
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&one.name),
            thousands(one.count),
            bytes(one.bytes),
            thousands(one.errors)
        );
    }
    html.push_str("</tbody></table>\n");
}

/// Text as HTML. Source: HTML standard, "Escaping a string", with both quotes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::fixture::running;
    use crate::snapshot;

    #[test]
    fn the_page_has_the_law_the_percentiles_and_no_script() {
        let html = draw(&snapshot::take(&running().view()), true);
        for part in ["<td>180</td>", ">yes</td>", "<td>produce to ack</td>", "3.00 ms", "orders: running"] {
            assert!(html.contains(part), "{part} is missing in {html}");
        }
        assert!(!html.contains("<script") && !html.contains("style="), "{html}");
    }

    #[test]
    fn names_from_messages_are_escaped() {
        let html = draw(&snapshot::take(&running().view()), true);
        assert!(html.contains("paid &quot;x&quot;"), "{html}");
        assert_eq!(escape("<a href='x'>&"), "&lt;a href=&#39;x&#39;&gt;&amp;");
    }

    #[test]
    fn a_trouble_is_on_the_page() {
        let board = running();
        board.trouble("orders", Some("no AWS credentials <x>"));
        let html = draw(&snapshot::take(&board.view()), true);
        assert!(html.contains("<p class=\"bad\">no AWS credentials &lt;x&gt;</p>"), "{html}");
    }
}
