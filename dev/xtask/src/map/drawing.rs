//! docs/images/map.svg: a line for each city, from the edge's answer to the central data centre's.

use std::fmt::Write as _;

use super::measure::Page;
use super::report::Report;
use super::ways::Way;

const WIDTH: f64 = 860.0;
/// Where the scale begins and ends.
const LEFT: f64 = 150.0;
const RIGHT: f64 = 820.0;
/// Where the first city's line is, and how far the next one is below it.
const TOP: f64 = 116.0;
const STEP: f64 = 34.0;
/// Milliseconds between the lines of the scale.
const GRID: usize = 100;

/// What a drawing needs in light and in dark surroundings. No script, no font, nothing from elsewhere.
const STYLE: &str = "<style>
.paper{fill:#ffffff;stroke:#cbd2d9}.text{fill:#1f2933}.quiet{fill:#52606d}.grid{stroke:#e4e7eb}.way{stroke:#9fb3c8;stroke-width:3}
.edge{fill:#2f7d4f}.central{fill:#2b6cb0}.call{fill:#ffffff;stroke:#b7791f;stroke-width:2.5}
@media (prefers-color-scheme: dark){.paper{fill:#0d1117;stroke:#30363d}.text{fill:#e6edf3}.quiet{fill:#9da7b3}.grid{stroke:#21262d}
.way{stroke:#3d4b5c}.edge{fill:#56d364}.central{fill:#58a6ff}.call{fill:#0d1117;stroke:#e3b341}}
</style>";

/// Draws the first bytes of a visit's next page.
///
/// # Errors
///
/// A way wasn't measured.
pub fn draw(report: &Report<'_>) -> anyhow::Result<String> {
    let cities = report.by_distance();
    let central = report.central.name;
    let mut rows = Vec::new();
    for measured in &cities {
        let of = |way| report.first_byte(measured, way, Page::Next);
        rows.push((
            measured.city.name,
            of(Way::EdgeSession)?,
            of(Way::Central(1))?,
            [of(Way::Calls(2))?, of(Way::Calls(3))?],
        ));
    }
    let most = rows.iter().flat_map(|(_, edge, page, calls)| [*edge, *page, calls[0], calls[1]]).fold(0.0, f64::max);
    let end = ((most / GRID as f64).ceil() as usize).max(1) * GRID;
    let x = |milliseconds: f64| LEFT + (RIGHT - LEFT) * milliseconds / end as f64;
    let bottom = TOP + STEP * rows.len() as f64;
    let height = bottom + 34.0;

    let said: Vec<String> = rows
        .iter()
        .map(|(city, edge, page, [two, three])| {
            format!("{city}: edge {edge:.0}, page from {central} {page:.0}, two calls {two:.0}, three calls {three:.0}")
        })
        .collect();
    let mut svg = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-labelledby=\"t d\" font-family=\"system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif\" font-size=\"14\">\n\
         <title id=\"t\">What visitors wait for, by city</title>\n<desc id=\"d\">Milliseconds to the first byte of a personalized page. {}.</desc>\n\
         {STYLE}\n<rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n\
         <text class=\"text\" x=\"20\" y=\"32\" font-size=\"16\" font-weight=\"600\">What visitors wait for: first byte of a personalized page</text>",
        said.join("; "),
        WIDTH - 1.0,
        height - 1.0,
    );
    let legend = [
        ("edge", "made at the edge".to_owned()),
        ("central", format!("made in {central}")),
        ("call", format!("made near, 2 and 3 calls to {central}")),
    ];
    for ((class, text), left) in legend.iter().zip([28.0, 190.0, 352.0]) {
        let _ = writeln!(
            svg,
            "<circle class=\"{class}\" cx=\"{left}\" cy=\"57\" r=\"6\"/><text class=\"text\" x=\"{}\" y=\"62\">{text}</text>",
            left + 13.0
        );
    }
    for milliseconds in (0..=end).step_by(GRID) {
        let place = x(milliseconds as f64);
        let unit = if milliseconds == end { " ms" } else { "" };
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{place:.1} {}V{bottom:.1}\"/><text class=\"quiet\" x=\"{place:.1}\" y=\"{}\" text-anchor=\"middle\" \
             font-size=\"12\">{milliseconds}{unit}</text>",
            TOP - 22.0,
            bottom + 18.0
        );
    }
    for (place, (city, edge, page, calls)) in rows.iter().enumerate() {
        let y = TOP + STEP * place as f64;
        let last = calls.iter().copied().fold(*page, f64::max);
        let _ = writeln!(
            svg,
            "<text class=\"text\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{city}</text><path class=\"way\" d=\"M{:.1} {y}H{:.1}\"/>",
            LEFT - 22.0,
            y + 5.0,
            x(*edge),
            x(last)
        );
        for milliseconds in calls.iter().rev() {
            let _ = write!(svg, "<circle class=\"call\" cx=\"{:.1}\" cy=\"{y}\" r=\"5\"/>", x(*milliseconds));
        }
        let _ = writeln!(
            svg,
            "<circle class=\"central\" cx=\"{:.1}\" cy=\"{y}\" r=\"7\"/><circle class=\"edge\" cx=\"{:.1}\" cy=\"{y}\" r=\"7\"/>",
            x(*page),
            x(*edge)
        );
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::super::cities::Latencies;
    use super::super::report::tests::{made_up, report};
    use super::*;

    #[test]
    fn a_drawing_stands_alone_and_can_be_read_aloud() {
        let latencies = Latencies::published().unwrap();
        let measured = made_up(&latencies);
        let svg = draw(&report(&latencies, &measured)).unwrap();
        assert!(
            svg.contains("role=\"img\" aria-labelledby=\"t d\"") && svg.contains("prefers-color-scheme: dark"),
            "{svg}"
        );
        assert!(svg.contains("Sydney: edge 11, page from Frankfurt 261, two calls 511, three calls 761"), "{svg}");
        for outside in ["href", "url(", "<script", "<image", "@import"] {
            assert!(!svg.contains(outside), "{outside} in {svg}");
        }
        for city in latencies.cities() {
            assert_eq!(svg.matches(&format!(">{}</text>", city.name)).count(), 1, "{}", city.name);
        }
        assert_eq!(svg.matches("<circle class=\"edge\"").count(), 10 + 1, "a point a city, and the legend's");
        // Sydney is the last line, and 761 of 800 ms stand near the right.
        assert!(svg.contains(&format!(
            "cx=\"{:.1}\" cy=\"{}\"",
            LEFT + (RIGHT - LEFT) * 761.0 / 800.0,
            TOP + 9.0 * STEP
        )));
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }
}
