//! Percentiles as a picture, for the page that the server draws: each nine as wide as the one before, latency by powers of
//! ten.
//!
//! Pure. Presentation attributes only: the policy lets no style in.

use std::collections::BTreeMap;
use std::fmt::Write;

use dataplane::stats::Percentiles;

use crate::term::micros;

/// Stages that are drawn, with their colour and dash. Colours: Okabe and Ito, which everybody can tell apart.
const DRAWN: [(&str, &str, &str); 3] = [
    ("produce_to_ack", "#0072b2", "none"),
    ("ack_to_deleted", "#d55e00", "6 3"),
    ("end_to_end", "#009e73", "2 3"),
];
/// Places of p50, p90, p99, p99.9 and the maximum: one nine apart.
const PLACES: [(&str, f64); 5] =
    [("50 %", 0.301), ("90 %", 1.0), ("99 %", 2.0), ("99.9 %", 3.0), ("max", 4.0)];
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 130.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 10.0;

/// Draws the stages that have values; nothing if none has.
pub(super) fn draw(html: &mut String, latency_us: &BTreeMap<&'static str, Percentiles>) {
    let known = |stage: &str| latency_us.get(stage).filter(|percentiles| percentiles.count > 0);
    let values = |of: &Percentiles| [of.p50, of.p90, of.p99, of.p999, of.max].map(|us| us.max(1) as f64);
    let drawn: Vec<_> = DRAWN.into_iter().filter_map(|look| Some((look, values(known(look.0)?)))).collect();
    let all = || drawn.iter().flat_map(|(_, values)| values);
    let (Some(least), Some(most)) = (all().copied().reduce(f64::min), all().copied().reduce(f64::max)) else {
        return;
    };
    let (low, high) = (least.log10().floor(), most.log10().ceil().max(least.log10().floor() + 1.0));
    let x = |place: f64| LEFT + place / 4.0 * (WIDTH - LEFT - RIGHT);
    let y = |us: f64| TOP + (1.0 - (us.log10() - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    let _ = write!(
        html,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" role=\"img\" aria-label=\"Percentiles of the stages; \
         the table has the figures\" font-size=\"11\" fill=\"currentColor\">"
    );
    for power in low as i32..=high as i32 {
        let us = 10_f64.powi(power);
        let _ = write!(
            html,
            "<path d=\"M{LEFT} {0:.1}H{1}\" stroke=\"currentColor\" opacity=\".2\"/><text x=\"{2}\" y=\"{0:.1}\" \
             text-anchor=\"end\" dy=\"4\">{3}</text>",
            y(us),
            WIDTH - RIGHT,
            LEFT - 6.0,
            micros(us as u64)
        );
    }
    for (name, place) in PLACES {
        let _ = write!(
            html,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
            x(place),
            HEIGHT - 10.0
        );
    }
    for (number, ((stage, colour, dash), values)) in drawn.iter().enumerate() {
        let points: Vec<String> = PLACES
            .iter()
            .zip(values)
            .map(|((_, place), us)| format!("{:.1},{:.1}", x(*place), y(*us)))
            .collect();
        let line = TOP + 8.0 + number as f64 * 18.0;
        let _ = write!(
            html,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\
             <path d=\"M{1} {line}h22\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\
             <text x=\"{2}\" y=\"{line}\" dy=\"4\">{3}</text>",
            points.join(" "),
            WIDTH - RIGHT + 8.0,
            WIDTH - RIGHT + 36.0,
            stage.replace('_', " ")
        );
    }
    html.push_str("</svg>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percentiles(scale: u64) -> Percentiles {
        Percentiles {
            count: 9,
            p50: scale,
            p90: scale * 2,
            p99: scale * 5,
            p999: scale * 20,
            max: scale * 90,
        }
    }

    #[test]
    fn every_stage_with_values_is_a_line_that_never_falls() {
        let mut html = String::new();
        draw(
            &mut html,
            &BTreeMap::from([("produce_to_ack", percentiles(800)), ("end_to_end", percentiles(3_000))]),
        );
        assert_eq!(html.matches("<polyline").count(), 2, "{html}");
        assert!(html.contains("end to end") && !html.contains("style"), "{html}");
        let points = html.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let heights: Vec<f64> =
            points.split(' ').map(|point| point.split_once(',').unwrap().1.parse().unwrap()).collect();
        assert!(heights.len() == 5 && heights.is_sorted_by(|a, b| a >= b), "{points}");
    }

    #[test]
    fn without_values_there_is_no_picture() {
        let mut html = String::new();
        draw(&mut html, &BTreeMap::from([("end_to_end", Percentiles::default())]));
        assert_eq!(html, "");
    }
}
