//! A chart of what an event costs over the number of rules, as SVG; both axes are logarithmic.

use std::fmt::Write as _;

use crate::measure::Row;
use crate::rules::Shape;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 650.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 410.0;

/// Told apart by most eyes, on light and on dark ground.
const COLOURS: [&str; 10] =
    ["#00415f", "#0072b2", "#56b4e9", "#009e73", "#8fbf6f", "#e69f00", "#d55e00", "#cc79a7", "#8c6bb1", "#808080"];

/// The points of one engine: (rules, nanoseconds an event).
struct Line {
    label: String,
    points: Vec<(f64, f64)>,
}

/// The chart of all rows of a shape that have a number; `None` when there is nothing to show.
pub fn draw(rows: &[Row], shape: Shape) -> Option<String> {
    let lines = lines(rows.iter().filter(|row| row.shape == shape));
    let points = || lines.iter().flat_map(|line| &line.points);
    let least = points().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let most = points().map(|point| point.1).fold(0.0, f64::max);
    let (first, last) = (
        points().map(|point| point.0).fold(f64::INFINITY, f64::min),
        points().map(|point| point.0).fold(0.0, f64::max),
    );
    if !least.is_finite() || last <= first {
        return None;
    }
    let (floor, ceiling) = (least.log10().floor(), most.log10().ceil());
    let x = |rules: f64| LEFT + (rules / first).log10() / (last / first).log10() * (RIGHT - LEFT);
    let y = |cost: f64| BOTTOM - (cost.log10() - floor) / (ceiling - floor) * (BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#777\">\n\
         <title>Cost per event over the number of rules</title>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">Cost per event over the number of rules, {} (both axes logarithmic; lower is better)</text>\n",
        shape.name()
    );
    for power in floor as i32..=ceiling as i32 {
        let at = y(10_f64.powi(power));
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#999\" stroke-opacity=\"0.35\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            duration(power)
        );
    }
    let mut ticks: Vec<f64> = points().map(|point| point.0).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    for tick in ticks {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{tick} rules</text>",
            x(tick),
            BOTTOM + 22.0
        );
    }
    let mut order: Vec<usize> = (0..lines.len()).collect();
    let end = |line: &Line| line.points.last().map_or(0.0, |point| y(point.1));
    order.sort_by(|left, right| end(&lines[*left]).total_cmp(&end(&lines[*right])));
    let mut free = TOP - 6.0;
    for number in order {
        let (line, colour) = (&lines[number], COLOURS[number % COLOURS.len()]);
        let points: Vec<String> =
            line.points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
            points.join(" ")
        );
        for point in &points {
            let (left, top) = point.split_once(',').unwrap_or_default();
            let _ = writeln!(svg, "<circle cx=\"{left}\" cy=\"{top}\" r=\"3.5\" fill=\"{colour}\"/>");
        }
        // Labels keep their distance from the one above.
        free = end(line).max(free + 16.0);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
            RIGHT + 12.0,
            free + 4.0,
            escaped(&line.label)
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// Engines by the name before their configuration, which may change with the number of rules; Kestrel by its runtime too.
fn lines<'r>(rows: impl Iterator<Item = &'r Row>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in rows {
        let Ok(cost) = &row.cost else { continue };
        let label = match row.engine.split_once(',') {
            Some(("Kestrel", runtime)) => {
                format!("Kestrel,{runtime}, {}", row.from.split(',').next().unwrap_or_default())
            }
            Some((engine, " structure")) => format!("{engine}, structure"),
            Some((engine, _)) => engine.to_owned(),
            None => row.engine.clone(),
        };
        let point = (row.rules as f64, cost.median);
        match lines.iter_mut().find(|line| line.label == label) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { label, points: vec![point] }),
        }
    }
    lines
}

fn duration(power: i32) -> String {
    let (unit, power) = match power {
        ..3 => ("ns", power),
        3..6 => ("µs", power - 3),
        6..9 => ("ms", power - 6),
        _ => ("s", power - 9),
    };
    format!("{} {unit}", 10_f64.powi(power))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
