/** Which figures are plotted over time. */

import type { Bucket } from './api.ts';
import { bytes, count, rate, seconds } from './format.ts';
import { PlotCard } from './plot.tsx';
import { type Colour, type Line, PALETTE, ranking, topLines, total } from './series.ts';
import { shown, snapshot } from './store.ts';

export function Plots() {
  const perBucket = (snapshot.value?.bucket_ms ?? 5_000) / 1_000;
  const rated = (label: string, colour: Colour, of: (bucket: Bucket) => number | undefined): Line => ({
    label,
    colour,
    of: (bucket) => (of(bucket) ?? 0) / perBucket,
    join: 'mean',
  });
  const gauge = (label: string, colour: Colour, of: (bucket: Bucket) => number): Line => ({ label, colour, of, join: 'max' });
  const latency = (label: 'p50' | 'p95' | 'p99', colour: Colour): Line => ({
    label,
    colour,
    of: (bucket) => bucket.latency?.[label] ?? null,
    join: 'max',
  });
  const reasons = ranking(shown.value, (bucket) => bucket.refused).map(([reason]) => reason);
  const modes = Object.keys(snapshot.value?.gauges.connections ?? {}).filter(
    (mode) => (mode !== 'probe' && mode !== 'echo') || (mode === 'echo' && shown.value.some((bucket) => (bucket.connections['echo'] ?? 0) > 0)),
  );
  const colours: readonly Colour[] = ['accent', ...PALETTE.filter((colour) => colour !== 'accent' && colour !== 'bad')];
  return (
    <div class="plots">
      <PlotCard
        title="Handshakes"
        unit="handshakes a second"
        format={rate}
        empty="Waiting for the first figures."
        lines={[rated('accepted', 'good', (bucket) => bucket.accepted), rated('refused', 'bad', (bucket) => total(bucket.refused))]}
      />
      <PlotCard
        title="Refusals by reason"
        unit="refusals a second"
        format={rate}
        empty="No handshake was refused in this time."
        lines={topLines(reasons, (bucket) => bucket.refused, perBucket)}
      />
      <PlotCard
        title={`Connections by mode, node ${snapshot.value?.node ?? ''}`}
        unit="live connections"
        whole
        format={count}
        empty="Waiting for the first figures."
        lines={modes.map((mode, index) => gauge(mode, colours[index % colours.length] ?? 'muted', (bucket) => bucket.connections[mode] ?? 0))}
      />
      <PlotCard
        title="Events"
        unit="events a second"
        format={rate}
        empty="Waiting for the first figures."
        lines={[rated('of runs', 'violet', (bucket) => bucket.events), rated('delivered', 'accent', (bucket) => bucket.deliveries)]}
      />
      <PlotCard
        title="Event latency"
        unit="from queued to written, logarithmic"
        format={seconds}
        logarithmic
        empty="No event was delivered in this time."
        lines={[latency('p50', 'teal'), latency('p95', 'busy'), latency('p99', 'bad')]}
      />
      <PlotCard
        title="Outgoing queues"
        unit="bytes that wait"
        whole
        format={bytes}
        empty="Waiting for the first figures."
        lines={[gauge('all', 'accent', (bucket) => bucket.queue_bytes), gauge('fullest', 'busy', (bucket) => bucket.queue_bytes_largest)]}
      />
      <PlotCard
        title="Runs"
        unit="runs"
        whole
        format={count}
        empty="Waiting for the first figures."
        lines={[gauge('going on', 'accent', (bucket) => bucket.runs_going), gauge('waiting', 'busy', (bucket) => bucket.runs_waiting)]}
      />
      <PlotCard
        title="Runs that ended"
        unit="runs a second"
        format={rate}
        empty="Waiting for the first figures."
        lines={[rated('answered', 'good', (bucket) => bucket.runs_completed), rated('failed', 'bad', (bucket) => total(bucket.runs_failed))]}
      />
    </div>
  );
}
