//! Plots as SVG: no script, colours by the page's style, each with a title and a description for who can't see it.

use std::fmt::Write as _;

/// Units of the drawing: the page scales it.
const WIDTH: f64 = 760.0;
/// Room for the labels on the left of columns and lines.
const LEFT: f64 = 64.0;
/// Room for the names of rows.
const NAMES: f64 = 220.0;
/// Room for half a label on the right.
const RIGHT: f64 = 30.0;
/// Colours that the style knows.
const COLOURS: usize = 6;

/// A text within HTML and SVG.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A number with separators: `12,345`.
pub fn number(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 { format!("-{text}") } else { text }
}

/// Milliseconds, as short as they may be.
pub fn milliseconds(value: f64) -> String {
    match value {
        value if value >= 100.0 => number(value),
        value if value >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// What every plot has.
#[derive(Debug, Clone, Copy)]
pub struct Plot<'p> {
    /// One in the page.
    pub id: &'p str,
    /// What it shows.
    pub title: &'p str,
    /// What can be seen in it.
    pub description: &'p str,
}

/// One kind of values.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// A value for each label.
    pub values: Vec<f64>,
}

impl Plot<'_> {
    fn wrap(&self, height: f64, body: &str, legend: &[&str]) -> String {
        let Self { id, .. } = *self;
        let (title, description) = (escaped(self.title), escaped(self.description));
        let mut key = String::new();
        for (index, name) in legend.iter().enumerate() {
            let _ = write!(key, "<li><span class=\"c{}\"></span>{}</li>", index % COLOURS, escaped(name));
        }
        let key = if key.is_empty() { key } else { format!("<ul class=\"key\">{key}</ul>") };
        format!(
            "<figure><figcaption>{title}</figcaption>{key}\
             <div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{description}</desc>{body}</svg></div></figure>\n"
        )
    }

    /// Columns over time, one series on another.
    pub fn columns(&self, labels: &[String], series: &[Series]) -> String {
        let totals = (0..labels.len()).map(|index| series.iter().map(|series| at(series, index)).sum::<f64>());
        let most = nice(totals.fold(0.0, f64::max));
        let mut body = frame(labels, most);
        let step = step(labels.len());
        for index in 0..labels.len() {
            let mut below = 0.0;
            for (colour, series) in series.iter().enumerate() {
                let value = at(series, index);
                if value > 0.0 {
                    let (x, width) = (LEFT + as_f64(index) * step, (step - 1.0).clamp(0.5, 40.0));
                    let (top, bottom) = (height_of(below + value, most), height_of(below, most));
                    let _ = write!(
                        body,
                        "<rect class=\"c{}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
                        colour % COLOURS,
                        (bottom - top).max(0.5)
                    );
                    below += value;
                }
            }
        }
        self.wrap(HEIGHT, &body, &names(series))
    }

    /// Lines over time.
    pub fn lines(&self, labels: &[String], series: &[Series]) -> String {
        let most = nice(series.iter().flat_map(|series| &series.values).copied().fold(0.0, f64::max));
        let mut body = frame(labels, most);
        let step = step(labels.len());
        for (colour, series) in series.iter().enumerate() {
            let mut points = String::new();
            for (index, value) in series.values.iter().enumerate() {
                let x = LEFT + (as_f64(index) + 0.5) * step;
                let _ = write!(points, "{x:.1},{:.1} ", height_of(*value, most));
            }
            let colour = colour % COLOURS;
            let _ = write!(body, "<polyline class=\"l{colour}\" points=\"{}\"/>", points.trim_end());
            if let ([_], Some(value)) = (series.values.as_slice(), series.values.first()) {
                let (x, y) = (LEFT + 0.5 * step, height_of(*value, most));
                let _ = write!(body, "<circle class=\"c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
            }
        }
        self.wrap(HEIGHT, &body, &names(series))
    }

    /// Median to 99th percentile of each row, on a logarithmic scale.
    pub fn ranges(&self, rows: &[(String, [f64; 3])]) -> String {
        let values = || rows.iter().flat_map(|(_, values)| values).map(|value| value.max(0.01));
        let low = 10_f64.powf(values().fold(f64::INFINITY, f64::min).log10().floor());
        let high = 10_f64.powf(values().fold(0.01, f64::max).log10().ceil()).max(low * 10.0);
        let place = |value: f64| {
            NAMES + (WIDTH - NAMES - RIGHT) * ((value.max(low) / low).ln() / (high / low).ln()).clamp(0.0, 1.0)
        };
        let bottom = 24.0 * as_f64(rows.len()) + 4.0;
        let mut body = String::new();
        let mut tick = low;
        while tick <= high * 1.001 {
            let x = place(tick);
            let _ = write!(
                body,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{bottom:.0}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{} ms</text>",
                bottom + 14.0,
                if tick < 1.0 { format!("{tick}") } else { number(tick) }
            );
            tick *= 10.0;
        }
        for (index, (name, [p50, p95, p99])) in rows.iter().enumerate() {
            let y = 24.0 * as_f64(index) + 14.0;
            let (x50, x95, x99) = (place(*p50), place(*p95), place(*p99));
            let _ = write!(
                body,
                "{}<line class=\"thin\" x1=\"{x50:.1}\" x2=\"{x99:.1}\" y1=\"{y}\" y2=\"{y}\"/>\
                 <circle class=\"c0\" cx=\"{x50:.1}\" cy=\"{y}\" r=\"5\"/><circle class=\"c1\" cx=\"{x95:.1}\" cy=\"{y}\" r=\"4\"/>\
                 <circle class=\"c2\" cx=\"{x99:.1}\" cy=\"{y}\" r=\"4\"/>",
                row_name(name, y)
            );
        }
        self.wrap(bottom + 20.0, &body, &["median", "95th percentile", "99th percentile"])
    }

    /// A lift with its interval for each row; 0 is marked.
    pub fn lifts(&self, rows: &[(String, f64, [f64; 2], &str)]) -> String {
        let reach = rows.iter().map(|(_, _, [low, high], _)| low.abs().max(high.abs())).fold(0.001, f64::max);
        let reach = nice(reach.min(10.0) * 100.0) / 100.0;
        let middle = NAMES + (WIDTH - NAMES - RIGHT) / 2.0;
        let place = |value: f64| middle + (WIDTH - NAMES - RIGHT) / 2.0 * (value / reach).clamp(-1.0, 1.0);
        let bottom = 26.0 * as_f64(rows.len()) + 4.0;
        let mut body = String::new();
        for tick in [-1.0, -0.5, 0.0, 0.5, 1.0] {
            let (x, class) = (place(tick * reach), if tick == 0.0 { "zero" } else { "grid" });
            let _ = write!(
                body,
                "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{bottom:.0}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
                bottom + 14.0,
                super::percent(tick * reach)
            );
        }
        for (index, (name, lift, [low, high], verdict)) in rows.iter().enumerate() {
            let y = 26.0 * as_f64(index) + 14.0;
            let _ = write!(
                body,
                "{}<line class=\"thick v-{verdict}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\"/>\
                 <circle class=\"v-{verdict}\" cx=\"{:.1}\" cy=\"{y}\" r=\"5\"/>",
                row_name(name, y),
                place(*low),
                place(*high),
                place(*lift)
            );
        }
        self.wrap(bottom + 20.0, &body, &[])
    }
}

/// Height of plots over time.
const HEIGHT: f64 = 220.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 190.0;

fn height_of(value: f64, most: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * (value / most).clamp(0.0, 1.0)
}

fn step(labels: usize) -> f64 {
    (WIDTH - LEFT - 10.0) / as_f64(labels.max(1))
}

fn at(series: &Series, index: usize) -> f64 {
    series.values.get(index).copied().unwrap_or_default()
}

fn names(series: &[Series]) -> Vec<&str> {
    series.iter().map(|series| series.name.as_str()).collect()
}

fn as_f64(count: usize) -> f64 {
    count as f64
}

/// The next round number.
fn nice(value: f64) -> f64 {
    if !(value > 0.0 && value.is_finite()) {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let found = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value * 0.999_999);
    found.unwrap_or(10.0 * power)
}

/// Lines and labels of plots over time.
fn frame(labels: &[String], most: f64) -> String {
    let mut body = String::new();
    for part in [0.0, 0.5, 1.0] {
        let (y, value) = (height_of(part * most, most), part * most);
        let text = if value > 0.0 && value < 1.0 { format!("{value}") } else { number(value) };
        let _ = write!(
            body,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"tick\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    let every = labels.len().div_ceil(6).max(1);
    for (index, label) in labels.iter().enumerate().step_by(every) {
        let x = LEFT + as_f64(index) * step(labels.len());
        let _ = write!(body, "<text class=\"tick\" x=\"{x:.1}\" y=\"{:.0}\">{}</text>", BOTTOM + 18.0, escaped(label));
    }
    body
}

fn row_name(name: &str, y: f64) -> String {
    /// Characters that fit before the plot.
    const FIT: usize = 32;
    let short: String =
        if name.chars().count() > FIT { name.chars().take(FIT - 1).chain(['…']).collect() } else { name.to_owned() };
    format!(
        "<text class=\"name\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>",
        NAMES - 14.0,
        y + 4.0,
        escaped(&short)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLOT: Plot<'static> = Plot { id: "p", title: "a < b", description: "d & e" };

    #[test]
    fn every_plot_has_a_title_and_a_description_and_nothing_of_a_log_becomes_markup() {
        let series = [Series { name: "<i>".to_owned(), values: vec![1.0, 0.0, 3.0] }];
        let labels = ["a", "<script>", "c"].map(str::to_owned);
        let plots = [
            PLOT.columns(&labels, &series),
            PLOT.lines(&labels, &series),
            PLOT.ranges(&[("<b>".to_owned(), [1.0, 2.0, 300.0])]),
            PLOT.lifts(&[("<b>".to_owned(), 0.1, [-0.1, 0.3], "better")]),
        ];
        for plot in plots {
            assert!(plot.contains("<title id=\"p-t\">a &lt; b</title><desc id=\"p-d\">d &amp; e</desc>"), "{plot}");
            assert!(!["<script", "<i>", "<b>", "NaN", "inf"].iter().any(|text| plot.contains(text)), "{plot}");
        }
    }

    #[test]
    fn empty_plots_and_zeros_are_drawn_too() {
        for plot in
            [PLOT.columns(&[], &[]), PLOT.lines(&[], &[]), PLOT.ranges(&[("a".to_owned(), [0.0; 3])]), PLOT.lifts(&[])]
        {
            assert!(!plot.contains("NaN") && !plot.contains("inf"), "{plot}");
        }
    }

    #[test]
    fn numbers_have_separators() {
        for (value, text) in [(0.0, "0"), (999.0, "999"), (1_234_567.4, "1,234,567"), (-1_000.0, "-1,000")] {
            assert_eq!(number(value), text);
        }
    }
}
