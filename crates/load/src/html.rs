//! The report as one page that needs nothing else: styles and plots are in it, and nothing is fetched.

use std::fmt::{self, Display, Write as _};

use crate::{
    Measured, Report, Step,
    html::{
        plot::{Axis, Line, Plot},
        text::{Text, number},
    },
};

mod plot;
mod text;

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut page = String::with_capacity(64 << 10);
    // Writing to a string does not fail.
    let _ = write(&mut page, report);
    page
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let title = report.servers.iter().map(|server| server.url.as_str()).collect::<Vec<_>>().join(" and ");
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Load on {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Load on {}</h1>\n",
        Text(&title),
        Text(&title)
    )?;
    about(out, report)?;
    if !report.comparison.is_empty() {
        comparison(out, report)?;
    }
    let mut scenarios: Vec<&str> = report.measured.iter().map(|measured| measured.scenario).collect();
    scenarios.dedup();
    for scenario in scenarios {
        let measured: Vec<&Measured> =
            report.measured.iter().filter(|measured| measured.scenario == scenario).collect();
        section(out, scenario, &measured)?;
    }
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

fn about(out: &mut String, report: &Report) -> fmt::Result {
    let machine = &report.machine;
    out.push_str("<dl>\n");
    let mut entry = |name: &str, value: &dyn Display| {
        writeln!(out, "<dt>{}</dt><dd>{}</dd>", Text(name), Text(&value.to_string()))
    };
    for server in &report.servers {
        let crate::Server { name, url, form, credentials } = server;
        entry(&format!("Server {name}"), &format_args!("{url}, credentials: {credentials} ({form})"))?;
    }
    entry("Measured", &report.started_at)?;
    entry("Generator", &format_args!("portcullis bench {} on {}", report.version, machine))?;
    for (name, value) in &report.settings {
        entry(name, value)?;
    }
    out.push_str("</dl>\n");
    if report.interrupted {
        out.push_str("<p class=\"warning\">Stopped early: what was measured until then.</p>\n");
    }
    for problem in &report.problems {
        writeln!(
            out,
            "<p class=\"failure\">{} on {} could not be run: {}</p>",
            Text(problem.scenario),
            Text(problem.server),
            Text(&problem.message)
        )?;
    }
    for exceeded in &report.exceeded {
        writeln!(
            out,
            "<p class=\"failure\">{} on {}: {} is {} and may be {}</p>",
            Text(exceeded.scenario),
            Text(exceeded.server),
            Text(exceeded.figure),
            number(exceeded.value),
            number(exceeded.limit)
        )?;
    }
    Ok(())
}

fn comparison(out: &mut String, report: &Report) -> fmt::Result {
    out.push_str(
        "<section>\n<h2>B against A</h2>\n<p>Measured in turns. The ratio is B's figure over A's, with the interval of 95 % of a \
         bootstrap over pairs of neighbouring slices; where it holds 1, no difference can be told.</p>\n<div class=\"wide\"><table>\n\
         <thead><tr><th>scenario</th><th>figure</th><th>A</th><th>B</th><th>ratio</th><th>interval</th><th>pairs</th></tr>\
         </thead>\n<tbody>\n",
    );
    for ratio in &report.comparison {
        let interval = match (ratio.low, ratio.high) {
            (Some(low), Some(high)) => format!("{low:.3} to {high:.3}"),
            _ => "too few pairs".to_owned(),
        };
        writeln!(
            out,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{:.3}</td><td>{interval}</td><td>{}</td></tr>",
            Text(ratio.scenario),
            Text(ratio.figure),
            number(ratio.a),
            number(ratio.b),
            ratio.ratio,
            ratio.pairs
        )?;
    }
    out.push_str("</tbody></table></div>\n</section>\n");
    Ok(())
}

fn section(out: &mut String, scenario: &str, measured: &[&Measured]) -> fmt::Result {
    writeln!(out, "<section>\n<h2>{}</h2>", Text(scenario))?;
    for one in measured {
        let Measured { server, succeeded, failed, unstarted, rate, measured_s, .. } = one;
        write!(
            out,
            "<p><b>{}</b>: {succeeded} succeeded in {measured_s:.1} s, {} a second; {failed} failed, {unstarted} never began.",
            Text(server),
            number(*rate)
        )?;
        if let Some(cpu) = one.server_cpu {
            write!(out, " The server spent {} µs of CPU time on each.", number(cpu.us_per_operation))?;
        }
        out.push_str("</p>\n");
        if let Some(limited) = &one.generator.limited {
            writeln!(out, "<p class=\"warning\">The generator was the limit: {}</p>", Text(limited))?;
        }
    }
    latencies(out, measured)?;
    quantiles(out, measured)?;
    over_time(out, measured)?;
    for one in measured {
        held(out, one)?;
        storm(out, one)?;
        errors(out, one)?;
    }
    out.push_str("</section>\n");
    Ok(())
}

fn latencies(out: &mut String, measured: &[&Measured]) -> fmt::Result {
    out.push_str(
        "<div class=\"wide\"><table>\n<thead><tr><th>server</th><th>latency, ms</th><th>count</th><th>p50</th><th>p90</th>\
         <th>p99</th><th>p99.9</th><th>max</th></tr></thead>\n<tbody>\n",
    );
    for (server, step) in steps(measured) {
        writeln!(
            out,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            Text(server),
            Text(step.step),
            step.count,
            number(step.p50_ms),
            number(step.p90_ms),
            number(step.p99_ms),
            number(step.p99_9_ms),
            number(step.max_ms)
        )?;
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}

fn steps<'m>(measured: &'m [&Measured]) -> impl Iterator<Item = (&'static str, &'m Step)> {
    measured.iter().flat_map(|one| one.latencies.iter().map(|step| (one.server, step)))
}

/// Latency over the quantile, whose axis gives each further nine the same room.
fn quantiles(out: &mut String, measured: &[&Measured]) -> fmt::Result {
    let lines = steps(measured).map(|(server, step)| {
        // Beyond the last operation but one there is nothing to see.
        let last = LAST_QUANTILE.min(1.0 - 0.5 / step.count.max(1) as f64);
        let nines = move |quantile: f64| (1.0 / (1.0 - quantile.min(last))).log10();
        let marks = [
            (0.5, "p50", step.p50_ms),
            (0.9, "p90", step.p90_ms),
            (0.99, "p99", step.p99_ms),
            (0.999, "p99.9", step.p99_9_ms),
        ];
        Line {
            name: format!("{server} {}", step.step),
            points: step.curve.iter().map(|&(quantile, ms)| (nines(quantile), ms)).collect(),
            marks: marks
                .map(|(quantile, name, ms)| (nines(quantile), ms, format!("{name} {} ms", number(ms))))
                .to_vec(),
            failure: false,
        }
    });
    let ticks = [
        (0.0, "0"),
        (0.301, "50 %"),
        (1.0, "90 %"),
        (2.0, "99 %"),
        (3.0, "99.9 %"),
        (4.0, "99.99 %"),
        (5.0, "99.999 %"),
    ];
    let plot = Plot {
        title: "Latency by percentile",
        x: Axis::Fixed { name: "percentile", ticks: &ticks },
        y: Axis::Logarithmic { name: "ms" },
        lines: lines.collect(),
    };
    plot.write(out)
}

fn over_time(out: &mut String, measured: &[&Measured]) -> fmt::Result {
    let mut lines = Vec::new();
    for one in measured {
        let slot = one.timeline.slot_s;
        let points = |counts: &[u64]| -> Vec<(f64, f64)> {
            let at = |(index, count): (usize, &u64)| ((index as f64 + 0.5) * slot, *count as f64 / slot);
            counts.iter().enumerate().map(at).collect()
        };
        lines.push(Line {
            name: format!("{} succeeded", one.server),
            points: points(&one.timeline.succeeded),
            marks: Vec::new(),
            failure: false,
        });
        if one.failed > 0 {
            lines.push(Line {
                name: format!("{} failed", one.server),
                points: points(&one.timeline.failed),
                marks: Vec::new(),
                failure: true,
            });
        }
    }
    lines.retain(|line| !line.points.is_empty());
    let plot = Plot {
        title: "Operations a second over time",
        x: Axis::Linear { name: "s" },
        y: Axis::Linear { name: "a second" },
        lines,
    };
    plot.write(out)
}

fn held(out: &mut String, one: &Measured) -> fmt::Result {
    let Some(held) = &one.hold else { return Ok(()) };
    let crate::Held { asked, opened, kept, held_s, memory } = held;
    write!(
        out,
        "<p><b>{}</b>: of {asked} connections {opened} came about, and {kept} were there after {held_s:.1} s.",
        Text(one.server)
    )?;
    match memory {
        Some(memory) if memory.tells() => write!(
            out,
            " Each took {:.0} B of resident memory of the server's process ({:.0} B private dirty).",
            memory.resident_per_connection, memory.dirty_per_connection
        )?,
        Some(memory) => write!(
            out,
            " They are too few to tell what one takes: all took {} KiB of resident memory.",
            memory.growth() / 1024
        )?,
        None => {}
    }
    out.push_str("</p>\n");
    Ok(())
}

fn storm(out: &mut String, one: &Measured) -> fmt::Result {
    let Some(storm) = &one.storm else { return Ok(()) };
    write!(
        out,
        "<p><b>{}</b>: of {} connections {} were lost and {} came back, in {} attempts",
        Text(one.server),
        storm.connections,
        storm.lost,
        storm.back,
        storm.attempts
    )?;
    match storm.all_back_ms {
        Some(all_back) => writeln!(out, "; all were back {} ms after the first loss.</p>", number(all_back))?,
        None => out.push_str(".</p>\n"),
    }
    let at = |(index, count): (usize, &u64)| ((index as f64 + 1.0) * storm.slot_s, *count as f64);
    let points = std::iter::once((0.0, 0.0)).chain(storm.returned.iter().enumerate().map(at));
    let plot = Plot {
        title: "Connections that are back, since the first loss",
        x: Axis::Linear { name: "s" },
        y: Axis::Linear { name: "connections" },
        lines: vec![Line {
            name: format!("{} back", one.server),
            points: points.collect(),
            marks: Vec::new(),
            failure: false,
        }],
    };
    plot.write(out)
}

fn errors(out: &mut String, one: &Measured) -> fmt::Result {
    let losses = one.storm.iter().flat_map(|storm| storm.losses.iter().map(|counted| ("lost", counted)));
    let errors: Vec<_> = one.errors.iter().map(|counted| ("failed", counted)).chain(losses).collect();
    if errors.is_empty() {
        return Ok(());
    }
    out.push_str("<div class=\"wide\"><table>\n<thead><tr><th>server</th><th>what</th><th>kind</th><th>count</th></tr></thead>\n<tbody>\n");
    for (what, counted) in errors {
        writeln!(
            out,
            "<tr><th>{}</th><td>{what}</td><td>{}</td><td>{}</td></tr>",
            Text(one.server),
            Text(&counted.kind.to_string()),
            counted.count
        )?;
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}

/// The end of the axis of quantiles.
const LAST_QUANTILE: f64 = 0.99999;

const STYLE: &str = include_str!("html/style.css");
