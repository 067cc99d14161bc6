//! The report for people.

use std::fmt::Write as _;

use portcullis_load::{Counted, Measured, PaceReport, Ratio, Report};

use crate::output::Palette;

/// The whole report.
pub(super) fn table(report: &Report, palette: Palette) -> String {
    let mut text = String::new();
    for server in &report.servers {
        let portcullis_load::Server { name, url, form, credentials } = server;
        let form = if credentials == "none" { String::new() } else { format!(" ({form})") };
        let _ = writeln!(text, "{} {url}, credentials: {credentials}{form}", palette.bold(name));
    }
    let machine = palette.dim(format!("generator: {}", report.machine));
    let _ = writeln!(text, "{machine}");
    if report.interrupted {
        let _ = writeln!(text, "{}", palette.yellow("stopped early: what was measured until then"));
    }
    for measured in &report.measured {
        scenario(&mut text, measured, palette);
    }
    if !report.comparison.is_empty() {
        comparison(&mut text, &report.comparison, palette);
    }
    for problem in &report.problems {
        let head = palette.red(format!("{} {} could not be run", problem.scenario, problem.server));
        let _ = writeln!(text, "\n{head}: {}", problem.message);
    }
    for exceeded in &report.exceeded {
        let portcullis_load::Exceeded { scenario, server, figure, value, limit } = exceeded;
        let (figure, value, limit) = match *figure {
            "errors" => ("errors", share(*value), share(*limit)),
            _ => ("p99", time(*value), time(*limit)),
        };
        let line = palette.red(format!("{scenario} {server}: {figure} {value} is over the limit of {limit}"));
        let _ = writeln!(text, "\n{line}");
    }
    text
}

fn scenario(text: &mut String, measured: &Measured, palette: Palette) {
    let Measured { scenario, server, measured_s, succeeded, failed, unstarted, queued, rate, .. } = measured;
    let pace = match measured.pace {
        PaceReport::Open { rate } => format!("{rate} a second were due"),
        PaceReport::Closed { workers } => format!("{workers} at a time, one after the other"),
    };
    let head = palette.bold(format!("{scenario} {server}"));
    let _ = writeln!(text, "\n{head}  {}", palette.dim(format!("{pace}; {measured_s:.1} s")));
    let _ = write!(text, "  {succeeded} succeeded, {}/s", number(*rate));
    for (count, what) in [(unstarted, "never began"), (queued, "waited for a place")] {
        if *count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    if *failed > 0 {
        let _ =
            write!(text, ", {}", palette.red(format!("{failed} failed ({})", share(measured.error_share))));
    }
    text.push('\n');
    if !measured.latencies.is_empty() {
        let heading = format!(
            "  {:<12}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "latency", "count", "p50", "p90", "p99", "p99.9", "max"
        );
        let _ = writeln!(text, "{}", palette.dim(heading));
    }
    for step in &measured.latencies {
        let _ = writeln!(
            text,
            "  {:<12}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            step.step,
            step.count,
            time(step.p50_ms),
            time(step.p90_ms),
            time(step.p99_ms),
            time(step.p99_9_ms),
            time(step.max_ms)
        );
    }
    extras(text, measured);
    for Counted { kind, count } in &measured.errors {
        let _ = writeln!(text, "  {} {kind}", palette.red(format!("{count:>8}")));
    }
    if measured.errors.iter().any(|error| error.kind.status == Some(429)) {
        let advice = "every attempt comes from this one address: raise the server's limits for the measurement, or ask for \
                      less (--rate)";
        let _ = writeln!(text, "  {} {advice}", palette.yellow("the server's limits were measured:"));
    }
    generator(text, measured, palette);
}

/// What only some scenarios have.
fn extras(text: &mut String, measured: &Measured) {
    if let Some(cpu) = measured.server_cpu {
        let _ = writeln!(
            text,
            "  server: {} µs of CPU time for each, {:.2} cores busy",
            number(cpu.us_per_operation),
            cpu.cores
        );
    }
    if let Some(held) = &measured.hold {
        let _ = writeln!(
            text,
            "  of {} connections {} came about, and {} were there after {:.1} s",
            held.asked, held.opened, held.kept, held.held_s
        );
        if let Some(memory) = held.memory {
            let each = if memory.tells() {
                format!(
                    " for each: {:.0} B resident, {:.0} B private dirty",
                    memory.resident_per_connection, memory.dirty_per_connection
                )
            } else {
                ": too few connections to tell what each takes".to_owned()
            };
            let _ = writeln!(
                text,
                "  memory of the server{each} ({} to {} KiB resident)",
                memory.before_resident / 1024,
                memory.held_resident / 1024
            );
        }
    }
    let Some(storm) = &measured.storm else { return };
    let _ = writeln!(
        text,
        "  of {} connections {} were lost and {} came back, in {} attempts",
        storm.connections, storm.lost, storm.back, storm.attempts
    );
    let moments = [
        (storm.first_loss_ms, "from the command to the first loss"),
        (storm.all_lost_ms, "from the first loss to the last"),
        (storm.all_back_ms, "from the first loss until everybody was back"),
    ];
    for (moment, what) in moments {
        if let Some(moment) = moment {
            let _ = writeln!(text, "  {:>10} {what}", time(moment));
        }
    }
    for Counted { kind, count } in &storm.losses {
        let _ = writeln!(text, "  {count:>8} lost: {kind}");
    }
}

/// What the generator had to do with it.
fn generator(text: &mut String, measured: &Measured, palette: Palette) {
    let generator = &measured.generator;
    let cores = generator.cores.map_or_else(String::new, |cores| format!(", {cores:.2} cores busy"));
    let late = match generator.lag_of {
        "arrivals" => "began late by",
        _ => "its timers were late by",
    };
    let line = format!(
        "  generator: {late} {} (p50), {} (p99), {} (max){cores}",
        time(generator.lag_p50_ms),
        time(generator.lag_p99_ms),
        time(generator.lag_max_ms)
    );
    let _ = writeln!(text, "{}", palette.dim(line));
    if let Some(limited) = &generator.limited {
        let _ = writeln!(text, "  {} {limited}", palette.yellow("the generator was the limit:"));
    }
}

fn comparison(text: &mut String, ratios: &[Ratio], palette: Palette) {
    let _ = writeln!(text, "\n{}", palette.bold("B against A"));
    let heading = format!(
        "  {:<11}{:<6}{:>11}{:>11}{:>8}  {:<17}{:>5}  ",
        "scenario", "figure", "A", "B", "ratio", "95 % interval", "pairs"
    );
    let _ = writeln!(text, "{}", palette.dim(heading.trim_end()));
    for ratio in ratios {
        let show = |value: f64| match ratio.figure {
            "rate" => format!("{}/s", number(value)),
            "cpu" => format!("{} µs", number(value)),
            _ => time(value),
        };
        let (interval, verdict) = match (ratio.low, ratio.high) {
            (Some(low), Some(high)) if low <= 1.0 && high >= 1.0 => {
                (format!("{low:.3} to {high:.3}"), "no difference can be told")
            }
            (Some(low), Some(high)) => (format!("{low:.3} to {high:.3}"), ""),
            _ => ("too few pairs".to_owned(), ""),
        };
        let line = format!(
            "  {:<11}{:<6}{:>11}{:>11}{:>8.3}  {interval:<17}{:>5}  {verdict}",
            ratio.scenario,
            ratio.figure,
            show(ratio.a),
            show(ratio.b),
            ratio.ratio,
            ratio.pairs
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// Milliseconds, in a unit that fits.
pub(super) fn time(ms: f64) -> String {
    if ms >= 10_000.0 {
        format!("{:.1} s", ms / 1e3)
    } else if ms >= 1.0 {
        format!("{} ms", number(ms))
    } else {
        format!("{} µs", number(ms * 1e3))
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn share(part: f64) -> String {
    format!("{} %", number(part * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_that_fits() {
        for (ms, shown) in
            [(0.0123, "12.3 µs"), (0.5, "500 µs"), (1.5, "1.50 ms"), (250.0, "250 ms"), (12_345.0, "12.3 s")]
        {
            assert_eq!(time(ms), shown);
        }
        assert_eq!(share(0.001), "0.10 %");
    }
}
