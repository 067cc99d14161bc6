//! Two servers, measured in turns: short slices in the order A B, B A, A B, and so on.
//!
//! What disturbs a machine lasts longer than a slice and so meets both servers alike; and a slow drift weighs on neither,
//! because the order turns. Each pair of neighbouring slices gives one ratio. How far the ratios scatter says how much
//! the mean of them can be trusted: the interval is that of a bootstrap over the pairs.

use std::{sync::Arc, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use crate::{
    engine::{Cost, Pace, Run, Span, Surroundings, Work, run},
    figures::{Ratio, milliseconds},
    recorder::Recording,
};

/// How long a comparison takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slices {
    pub(crate) warm_up: Duration,
    pub(crate) length: Duration,
    /// For each server.
    pub(crate) count: usize,
}

/// Measures both in turns; gives the whole run of each, and the ratios.
pub(crate) async fn versus<W: Work>(
    scenario: &'static str,
    works: [&Arc<W>; 2],
    paces: [Pace; 2],
    span: Span,
    slices: Slices,
    around: [&Surroundings; 2],
) -> ([Run; 2], Vec<Ratio>) {
    for side in 0..2 {
        let warm_up = Span { warm_up: Duration::ZERO, length: slices.warm_up, ..span };
        if !slices.warm_up.is_zero() {
            run(works[side], paces[side], warm_up, around[side]).await;
        }
    }
    let slice = Span { warm_up: Duration::ZERO, length: slices.length, ..span };
    let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
    for pair in 0..slices.count {
        let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
        for side in order {
            if !around[side].stop.is_cancelled() {
                runs[side].push(run(works[side], paces[side], slice, around[side]).await);
            }
        }
    }
    // A slice that was cut short is compared with nothing.
    let whole = if around[0].stop.is_cancelled() {
        runs[0].len().min(runs[1].len()).saturating_sub(1)
    } else {
        slices.count
    };
    let ratios = ratios(scenario, &runs[0][..whole], &runs[1][..whole]);
    (runs.map(|runs| joined(&runs)), ratios)
}

/// One run of several, one behind the other.
fn joined(runs: &[Run]) -> Run {
    let mut whole = Run {
        recording: Recording::default(),
        slot: runs.first().map_or(Duration::from_secs(1), |run| run.slot),
        measured: Duration::ZERO,
        cost: Cost::default(),
    };
    for run in runs {
        let slots = whole.recording.timeline.len();
        whole.recording.append(&run.recording, slots, whole.measured);
        whole.measured += run.measured;
        whole.cost.wall += run.cost.wall;
        let add = |sum: Option<Duration>, more: Option<Duration>| match (sum, more) {
            (Some(sum), Some(more)) => Some(sum + more),
            (sum, more) => sum.or(more),
        };
        whole.cost.own = add(whole.cost.own, run.cost.own);
        whole.cost.server = add(whole.cost.server, run.cost.server);
    }
    whole
}

type Read = fn(&Run) -> Option<f64>;

const FIGURES: &[(&str, Read)] = &[
    ("p50", |run| quantile(run, 0.5)),
    ("p90", |run| quantile(run, 0.9)),
    ("p99", |run| quantile(run, 0.99)),
    ("mean", |run| run.recording.main()?.mean().map(milliseconds)),
    ("rate", |run| {
        let rate = run.recording.succeeded as f64 / run.measured.as_secs_f64();
        (run.recording.succeeded > 0).then_some(rate)
    }),
    ("cpu", |run| {
        let cpu = run.cost.server?.as_secs_f64() * 1e6 / run.recording.succeeded as f64;
        (run.recording.succeeded > 0 && cpu > 0.0).then_some(cpu)
    }),
];

fn quantile(run: &Run, quantile: f64) -> Option<f64> {
    run.recording.main()?.quantile(quantile).map(milliseconds)
}

fn ratios(scenario: &'static str, a: &[Run], b: &[Run]) -> Vec<Ratio> {
    let of = |(figure, read): &(&'static str, Read)| {
        let pairs: Vec<(f64, f64)> =
            a.iter().zip(b).filter_map(|(a, b)| Some((read(a)?, read(b)?))).collect();
        let logs: Vec<f64> = pairs.iter().map(|(a, b)| (b / a).ln()).collect();
        let mean = mean(&logs)?;
        let interval = bootstrap(&logs);
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Some(Ratio {
            scenario,
            figure,
            a: median(pairs.iter().map(|pair| pair.0).collect()),
            b: median(pairs.iter().map(|pair| pair.1).collect()),
            ratio: mean.exp(),
            low: interval.map(|(low, _)| low.exp()),
            high: interval.map(|(_, high)| high.exp()),
            pairs: pairs.len(),
        })
    };
    FIGURES.iter().filter_map(of).collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The interval that holds 95 % of the means of samples drawn from `values` with replacement; none for too few values.
/// The dice fall the same way each time, so that a report can be checked.
fn bootstrap(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < FEWEST_PAIRS {
        return None;
    }
    let mut dice = SmallRng::seed_from_u64(SEED);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sum: f64 = (0..values.len()).map(|_| values[dice.random_range(0..values.len())]).sum();
            sum / values.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |part: f64| means[((means.len() - 1) as f64 * part).round() as usize];
    Some((at(0.025), at(0.975)))
}

/// Fewer say nothing about how they scatter.
const FEWEST_PAIRS: usize = 4;

const RESAMPLES: usize = 2_000;

const SEED: u64 = 0x706f_7274_6375_6c6c;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::Latencies;

    fn slice(millis: &[u64]) -> Run {
        let mut latencies = Latencies::new();
        for millis in millis {
            latencies.record(Duration::from_millis(*millis));
        }
        let recording = Recording {
            steps: vec![("answer", latencies)],
            succeeded: millis.len() as u64,
            timeline: vec![(millis.len() as u64, 0)],
            ..Recording::default()
        };
        let slot = Duration::from_secs(1);
        Run { recording, slot, measured: slot, cost: Cost::default() }
    }

    #[test]
    fn a_ratio_is_that_of_neighbours_whatever_the_machine_does_between() {
        // The machine becomes four times slower on the way, and B is always twice A.
        let speeds = [1, 1, 2, 2, 4, 4];
        let a: Vec<Run> = speeds.iter().map(|speed| slice(&[10 * speed; 20])).collect();
        let b: Vec<Run> = speeds.iter().map(|speed| slice(&[20 * speed; 20])).collect();
        let ratios = ratios("messages", &a, &b);
        let p50 = ratios.iter().find(|ratio| ratio.figure == "p50").unwrap();
        let near = |value: f64, to: f64| (value - to).abs() < 0.01 * to;
        assert!(
            near(p50.ratio, 2.0) && near(p50.low.unwrap(), 2.0) && near(p50.high.unwrap(), 2.0),
            "{p50:?}"
        );
        assert_eq!(p50.pairs, 6);
        let rate = ratios.iter().find(|ratio| ratio.figure == "rate").unwrap();
        assert!(near(rate.ratio, 1.0), "{rate:?}");
        assert!(ratios.iter().all(|ratio| ratio.figure != "cpu"), "no process was named");
    }

    #[test]
    fn too_few_pairs_have_a_ratio_and_no_interval() {
        let ratios = ratios("messages", &[slice(&[1]), slice(&[1])], &[slice(&[3]), slice(&[3])]);
        assert_eq!((ratios[0].pairs, ratios[0].low), (2, None));
        assert!(super::ratios("messages", &[], &[]).is_empty());
    }

    #[test]
    fn slices_are_put_one_behind_the_other() {
        let whole = joined(&[slice(&[1, 2]), slice(&[3])]);
        assert_eq!(whole.recording.succeeded, 3);
        assert_eq!(whole.recording.timeline, [(2, 0), (1, 0)]);
        assert_eq!(whole.measured, Duration::from_secs(2));
        assert_eq!(whole.recording.main().unwrap().count(), 3);
    }

    proptest! {
        /// The interval holds the mean, lies within the values, and comes out the same each time.
        #[test]
        fn the_interval_holds_the_mean(values in vec(-3.0_f64..3.0, 4..40)) {
            let (low, high) = bootstrap(&values).unwrap();
            let least = values.iter().copied().fold(f64::MAX, f64::min);
            let most = values.iter().copied().fold(f64::MIN, f64::max);
            prop_assert!(least - 1e-9 <= low && low <= high && high <= most + 1e-9);
            prop_assert_eq!(bootstrap(&values), Some((low, high)));
            let mean = mean(&values).unwrap();
            // A bootstrap of few values may miss it by a hair.
            let slack = (most - least) * 0.1 + 1e-9;
            prop_assert!(low - slack <= mean && mean <= high + slack, "{mean} in {low}..{high}");
        }
    }
}
