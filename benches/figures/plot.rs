//! Plots as SVG, with a background of their own, so that they read on light and dark pages. They hold
//! what is drawn and know nothing of how it was measured.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 100.0;
const RIGHT: f64 = 210.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
const COLOURS: [&str; 4] = ["#0b62a4", "#c2410c", "#15803d", "#7c3aed"];

/// Lines over a logarithmic axis of sizes, each with its name at its end.
pub struct Plot<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// What the axis of sizes counts.
    pub x: &'a str,
    /// What the other axis measures, with its unit.
    pub y: &'a str,
    /// Whether the other axis is logarithmic too.
    pub log: bool,
    /// Names, and points from left to right.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
    /// Where the axis of sizes is marked, and with what. If nowhere, it is at every point, which then
    /// gets a dot.
    pub marks: Vec<(f64, String)>,
    /// Dashed lines from side to side, each with its name.
    pub limits: Vec<(String, f64)>,
}

impl Plot<'_> {
    /// The picture, as the text of an SVG file.
    #[must_use]
    pub fn draw(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let most = |it: &mut dyn Iterator<Item = f64>| it.fold(f64::MIN, f64::max);
        let limits = self.limits.iter().map(|limit| limit.1);
        let high = most(&mut points().map(|point| point.1).chain(limits)) * 1.1;
        let low = points().map(|point| point.1).fold(f64::MAX, f64::min);
        let (low, high) = if self.log {
            (10f64.powf(low.log10().floor()), 10f64.powf(high.log10().ceil()))
        } else {
            (0.0, high)
        };
        let first = points().map(|point| point.0).fold(f64::MAX, f64::min).log10();
        let last = most(&mut points().map(|point| point.0)).log10();
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x_of = |x: f64| LEFT + (x.log10() - first) / (last - first) * (right - LEFT);
        let y_of = |y: f64| {
            let part = match self.log {
                true => (y / low).log10() / (high / low).log10(),
                false => (y - low) / (high - low),
            };
            bottom - part * (bottom - TOP)
        };
        let mut body = String::new();
        for tick in self.ticks(low, high) {
            let y = y_of(tick);
            let line = format!("<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>\n");
            body += &(line + &text(LEFT - 8.0, y + 4.0, "end", "", &number(tick)));
        }
        let mut marks = self.marks.clone();
        if marks.is_empty() {
            marks = points().map(|point| (point.0, number(point.0))).collect();
            marks.sort_by(|a, b| a.0.total_cmp(&b.0));
            marks.dedup();
        }
        for (x, name) in marks {
            body += &text(x_of(x), bottom + 20.0, "middle", "", &name);
        }
        body += &text((LEFT + right) / 2.0, HEIGHT - 14.0, "middle", "", self.x);
        let middle = (TOP + bottom) / 2.0;
        let turned = format!(" transform=\"rotate(-90 20 {middle})\"");
        body += &text(20.0, middle, "middle", &turned, self.y);
        // Names keep their distance, in the order of their lines' ends.
        let mut names = Vec::new();
        for (name, value) in &self.limits {
            let y = y_of(*value);
            let dashes = "stroke=\"#b91c1c\" stroke-dasharray=\"6 4\"";
            writeln!(body, "<path d=\"M{LEFT} {y:.1}H{right}\" {dashes}/>").ok();
            names.push((y, name.clone(), "#b91c1c"));
        }
        for (n, (name, points)) in self.lines.iter().enumerate() {
            let colour = COLOURS[n % COLOURS.len()];
            let mut path = String::new();
            for (n, (x, y)) in points.iter().enumerate() {
                let (x, y) = (x_of(*x), y_of(*y));
                write!(path, "{}{x:.1} {y:.1}", if n == 0 { 'M' } else { 'L' }).ok();
                if self.marks.is_empty() {
                    let place = format!("cx=\"{x:.1}\" cy=\"{y:.1}\"");
                    writeln!(body, "<circle {place} r=\"3.5\" fill=\"{colour}\"/>").ok();
                }
            }
            let look = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"");
            writeln!(body, "<path d=\"{path}\" {look}/>").ok();
            if let Some((_, value)) = points.last() {
                names.push((y_of(*value), format!("{name}: {}", number(*value)), colour));
            }
        }
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut free = 0.0;
        for (y, name, colour) in names {
            let y = f64::max(y, free);
            free = y + 17.0;
            body += &text(right + 10.0, y + 4.0, "start", &format!(" fill=\"{colour}\""), &name);
        }
        svg(HEIGHT, self.title, &body)
    }

    fn ticks(&self, low: f64, high: f64) -> Vec<f64> {
        if self.log {
            let decades = std::iter::successors(Some(low), |tick| Some(tick * 10.0));
            return decades.take_while(|tick| *tick <= high * 1.01).collect();
        }
        let rough = high / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|s| *s >= rough);
        let step = step.unwrap_or(rough);
        (0..).map(|n| f64::from(n) * step).take_while(|tick| *tick <= high).collect()
    }
}

/// Bars from left to right, each with its name and its figure, as the text of an SVG file. `limits`
/// are dashed lines across them.
#[must_use]
pub fn bars(title: &str, unit: &str, limits: &[(&str, f64)], bars: &[(String, f64)]) -> String {
    let (left, right) = (270.0, WIDTH - 110.0);
    let values = bars.iter().map(|bar| bar.1).chain(limits.iter().map(|limit| limit.1));
    let most = values.fold(0.0, f64::max);
    let x_of = |value: f64| left + value / most * (right - left);
    let bottom = TOP + 20.0 + bars.len() as f64 * 34.0;
    let mut body = String::new();
    for (n, (name, value)) in bars.iter().enumerate() {
        let y = TOP + 20.0 + n as f64 * 34.0;
        let width = x_of(*value) - left;
        let colour = COLOURS[0];
        body += &text(left - 10.0, y + 16.0, "end", "", name);
        let place = format!("x=\"{left}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"22\"");
        writeln!(body, "<rect {place} fill=\"{colour}\"/>").ok();
        let figure = format!("{} {unit}", number(*value));
        body += &text(x_of(*value) + 8.0, y + 16.0, "start", "", &figure);
    }
    for (name, value) in limits {
        let x = x_of(*value);
        let dashes = "stroke=\"#b91c1c\" stroke-dasharray=\"6 4\"";
        writeln!(body, "<path d=\"M{x:.1} {:.1}V{bottom}\" {dashes}/>", TOP + 12.0).ok();
        body += &text(x, TOP + 6.0, "middle", " fill=\"#b91c1c\"", name);
    }
    svg(bottom + 20.0, title, &body)
}

/// A number as people write it.
#[must_use]
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v.fract() == 0.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let plain = format!("{:.digits$}", value.abs());
    let whole = plain.find('.').unwrap_or(plain.len());
    let mut grouped = String::from(if value < 0.0 { "-" } else { "" });
    for (n, c) in plain.chars().enumerate() {
        if n > 0 && n < whole && (whole - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(c);
    }
    grouped
}

/// A picture with a background of its own, so that it reads on light and dark pages.
fn svg(height: f64, title: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#fff\"/>\n\
         <text x=\"20\" y=\"28\" font-size=\"16\" font-weight=\"bold\">{title}</text>\n{body}</svg>\n"
    )
}

fn text(x: f64, y: f64, anchor: &str, more: &str, text: &str) -> String {
    let text = text.replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{text}</text>\n")
}
