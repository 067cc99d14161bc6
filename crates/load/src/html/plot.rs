//! A plot of lines, as inline SVG.

use std::fmt::{self, Write as _};

use super::text::{Text, number};

pub(super) struct Plot<'p> {
    pub(super) title: &'p str,
    pub(super) x: Axis<'p>,
    pub(super) y: Axis<'p>,
    pub(super) lines: Vec<Line>,
}

pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    /// Points that tell their value when pointed at.
    pub(super) marks: Vec<(f64, f64, String)>,
    /// Drawn as something that should not be.
    pub(super) failure: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Axis<'p> {
    /// From zero, with round numbers.
    Linear { name: &'p str },
    /// By decades.
    Logarithmic { name: &'p str },
    /// With marks of its own, as far as the lines go.
    Fixed { name: &'p str, ticks: &'p [(f64, &'p str)] },
}

/// An axis that knows how far its lines go.
struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<(f64, String)>,
}

impl Plot<'_> {
    /// Writes the figure; nothing where there is nothing to draw.
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        if points().next().is_none() {
            return Ok(());
        }
        let x = self.x.scale(points().map(|point| point.0));
        let y = self.y.scale(points().map(|point| point.1));
        let across = |value: f64| LEFT + x.part(value) * (WIDTH - LEFT - RIGHT);
        let up = |value: f64| HEIGHT - BOTTOM - y.part(value) * (HEIGHT - TOP - BOTTOM);
        writeln!(
            out,
            "<figure>\n<figcaption>{}{}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            Text(self.title),
            self.legend(),
            Text(self.title)
        )?;
        for (value, label) in &y.ticks {
            let at = up(*value);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                Text(label)
            )?;
        }
        for (value, label) in &x.ticks {
            let at = across(*value);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 16.0,
                Text(label)
            )?;
        }
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><text x=\"4\" y=\"12\">{}</text>",
            WIDTH - RIGHT,
            HEIGHT - 6.0,
            Text(self.x.name()),
            Text(self.y.name())
        )?;
        let mut colours = Colours::default();
        for line in &self.lines {
            let colour = colours.next(line);
            let name = Text(&line.name);
            write!(out, "<polyline class=\"line-{colour}\" data-line=\"{name}\" points=\"")?;
            for (place, (a, b)) in line.points.iter().enumerate() {
                let gap = if place == 0 { "" } else { " " };
                write!(out, "{gap}{:.1},{:.1}", across(*a), up(*b))?;
            }
            writeln!(out, "\"><title>{name}</title></polyline>")?;
            for (a, b, told) in &line.marks {
                if *a <= x.high {
                    writeln!(
                        out,
                        "<circle class=\"dot-{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{name}: {}</title></circle>",
                        across(*a),
                        up(*b),
                        Text(told)
                    )?;
                }
            }
        }
        out.push_str("</svg>\n</figure>\n");
        Ok(())
    }

    /// Which colour is which line; beside the title, where no line runs through it.
    fn legend(&self) -> String {
        let mut colours = Colours::default();
        let entry = |line| {
            let colour = colours.next(line);
            format!(
                "<span class=\"entry\"><span class=\"key key-{colour}\"></span>{}</span> ",
                Text(&line.name)
            )
        };
        self.lines.iter().map(entry).collect()
    }
}

/// Gives each line its colour, as the names of classes end.
#[derive(Default)]
struct Colours(usize);

impl Colours {
    fn next(&mut self, line: &Line) -> String {
        if line.failure {
            return "failing".to_owned();
        }
        self.0 += 1;
        ((self.0 - 1) % COLOURS).to_string()
    }
}

impl Axis<'_> {
    const fn name(&self) -> &str {
        match self {
            Self::Linear { name } | Self::Logarithmic { name } | Self::Fixed { name, .. } => name,
        }
    }

    fn scale(&self, values: impl Iterator<Item = f64> + Clone) -> Scale {
        let high = values.clone().fold(f64::MIN, f64::max);
        match self {
            Self::Linear { .. } => {
                let step = round_step(high.max(f64::MIN_POSITIVE) / 5.0);
                let count = (high / step).ceil().max(1.0);
                let ticks = (0..=count as usize).map(|index| index as f64 * step);
                Scale {
                    low: 0.0,
                    high: count * step,
                    logarithmic: false,
                    ticks: ticks.map(|value| (value, plain(value))).collect(),
                }
            }
            Self::Logarithmic { .. } => {
                let least = values.filter(|value| *value > 0.0).fold(f64::MAX, f64::min);
                let low = 10_f64.powf(least.min(high).max(1e-6).log10().floor());
                let top = 10_f64.powf(high.max(low).log10().ceil()).max(low * 10.0);
                let mut ticks = Vec::new();
                let mut decade = low;
                while decade <= top * 1.001 {
                    for part in [1.0, 2.0, 5.0] {
                        if decade * part <= top * 1.001 {
                            ticks.push((decade * part, plain(decade * part)));
                        }
                    }
                    decade *= 10.0;
                }
                Scale { low, high: top, logarithmic: true, ticks }
            }
            Self::Fixed { ticks, .. } => {
                let end = ticks.iter().map(|tick| tick.0).find(|tick| *tick >= high);
                let end = end.or_else(|| ticks.last().map(|tick| tick.0)).unwrap_or(1.0);
                let shown = ticks.iter().filter(|tick| tick.0 <= end);
                Scale {
                    low: 0.0,
                    high: end.max(f64::MIN_POSITIVE),
                    logarithmic: false,
                    ticks: shown.map(|(value, label)| (*value, (*label).to_owned())).collect(),
                }
            }
        }
    }
}

impl Scale {
    /// Where `value` lies, between 0 and 1.
    fn part(&self, value: f64) -> f64 {
        let place = |value: f64| if self.logarithmic { value.max(self.low).log10() } else { value };
        ((place(value) - place(self.low)) / (place(self.high) - place(self.low))).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|part| part * decade)
        .into_iter()
        .find(|step| *step >= least * 0.999)
        .unwrap_or(decade)
}

/// A tick's number without needless zeros.
fn plain(value: f64) -> String {
    if value >= 1.0 || value == 0.0 {
        let shown = format!("{value:.1}");
        shown.strip_suffix(".0").unwrap_or(&shown).to_owned()
    } else {
        number(value).trim_end_matches('0').to_owned()
    }
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 44.0;

const COLOURS: usize = 6;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Every point is drawn, within the frame, whatever the values.
        #[test]
        fn every_point_is_within_the_frame(points in vec((0.0_f64..1e6, 0.0_f64..1e6), 1..50), logarithmic: bool) {
            let y = if logarithmic { Axis::Logarithmic { name: "ms" } } else { Axis::Linear { name: "ms" } };
            let line = Line { name: "A".into(), points: points.clone(), marks: Vec::new(), failure: false };
            let plot = Plot { title: "t", x: Axis::Linear { name: "s" }, y, lines: vec![line] };
            let mut out = String::new();
            plot.write(&mut out).unwrap();
            let drawn = out.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
            let drawn: Vec<(f64, f64)> = drawn
                .split(' ')
                .map(|point| point.split_once(',').unwrap())
                .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
                .collect();
            prop_assert_eq!(drawn.len(), points.len());
            for (x, y) in drawn {
                prop_assert!((LEFT - 0.1..=WIDTH - RIGHT + 0.1).contains(&x), "{}", x);
                prop_assert!((TOP - 0.1..=HEIGHT - BOTTOM + 0.1).contains(&y), "{}", y);
            }
        }
    }

    #[test]
    fn nothing_to_draw_draws_nothing() {
        let plot = Plot {
            title: "t",
            x: Axis::Linear { name: "" },
            y: Axis::Linear { name: "" },
            lines: Vec::new(),
        };
        let mut out = String::new();
        plot.write(&mut out).unwrap();
        assert_eq!(out, "");
    }

    #[test]
    fn ticks_are_round() {
        let ticks = |axis: Axis<'_>, values: &[f64]| -> Vec<String> {
            axis.scale(values.iter().copied()).ticks.into_iter().map(|tick| tick.1).collect()
        };
        assert_eq!(
            ticks(Axis::Linear { name: "" }, &[0.0, 930.0]),
            ["0", "200", "400", "600", "800", "1000"]
        );
        assert_eq!(
            ticks(Axis::Logarithmic { name: "" }, &[0.3, 1.2]),
            ["0.1", "0.2", "0.5", "1", "2", "5", "10"]
        );
        let fixed = Axis::Fixed { name: "", ticks: &[(0.0, "a"), (1.0, "b"), (2.0, "c")] };
        assert_eq!(ticks(fixed, &[0.5]), ["a", "b"]);
    }
}
