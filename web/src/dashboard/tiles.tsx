/** The figures that are looked at first. */

import type { ComponentChildren } from 'preact';
import type { Snapshot } from './api.ts';
import { count, duration, seconds, share } from './format.ts';
import { ranking, sum, total } from './series.ts';
import { now, shown, snapshot, span } from './store.ts';

type Mood = 'good' | 'bad' | 'busy' | 'plain';

export function Tiles() {
  const seen = snapshot.value;
  if (seen === undefined) return null;
  return (
    <div class="tiles">
      <InternalTile seen={seen} />
      <HandshakesTile />
      <ConnectionsTile seen={seen} />
      <GoldenTile seen={seen} />
      <LatencyTile />
      <BudgetTile seen={seen} />
    </div>
  );
}

function Tile({ name, mood, value, children }: { name: string; mood: Mood; value: string; children: ComponentChildren }) {
  return (
    <section class={`tile ${mood}`} aria-label={name} data-tile={name}>
      <h2>{name}</h2>
      <p class="value">{value}</p>
      <p class="under">{children}</p>
    </section>
  );
}

/** Zero is the good news, and looks like it. */
function InternalTile({ seen }: { seen: Snapshot }) {
  const closes = seen.totals.closes?.['1011'] ?? 0;
  return (
    <Tile name="Closes with 1011" mood={closes === 0 ? 'good' : 'bad'} value={count(closes)}>
      {closes === 0 ? 'none since the start: no failure was ours' : 'since the start: each is a failure of this server'}
    </Tile>
  );
}

function HandshakesTile() {
  const accepted = sum(shown.value, (bucket) => bucket.accepted);
  const refused = sum(shown.value, (bucket) => total(bucket.refused));
  const [most] = ranking(shown.value, (bucket) => bucket.refused);
  const all = accepted + refused;
  const mood: Mood = all === 0 ? 'plain' : refused > accepted ? 'busy' : 'plain';
  return (
    <Tile name="Handshakes" mood={mood} value={all === 0 ? 'none' : `${count(accepted)} of ${count(all)}`}>
      {all === 0 ? `in the last ${duration(span.value * 60)}` : `accepted in the last ${duration(span.value * 60)}`}
      {most !== undefined && (
        <>
          ; most refused: <code>{most[0]}</code>
        </>
      )}
    </Tile>
  );
}

function ConnectionsTile({ seen }: { seen: Snapshot }) {
  const live = Object.entries(seen.gauges.connections).filter(([mode]) => mode !== 'probe');
  const used = live.filter(([, open]) => open > 0);
  return (
    <Tile name="Live connections" mood="plain" value={count(live.reduce((all, [, open]) => all + open, 0))}>
      {used.length === 0 ? 'in no mode' : used.map(([mode, open]) => `${mode} ${count(open)}`).join(', ')}
    </Tile>
  );
}

function GoldenTile({ seen }: { seen: Snapshot }) {
  const { probe } = seen;
  const last = probe.entries.at(-1);
  if (probe.off !== null) {
    return (
      <Tile name="Golden path" mood="plain" value="off">
        {probe.off}
      </Tile>
    );
  }
  if (probe.rate === null || last === undefined) {
    return (
      <Tile name="Golden path" mood="plain" value="…">
        the first probe is on its way
      </Tile>
    );
  }
  const ago = duration((now.value - last.at) / 1000);
  return (
    <Tile name="Golden path" mood={!last.ok ? 'bad' : probe.rate < 0.99 ? 'busy' : 'good'} value={share(probe.rate)}>
      {last.ok ? `last answer in ${seconds(last.duration_ms / 1000)}, ${ago} ago` : `failed at ${last.failed?.step ?? '?'} ${ago} ago`}
    </Tile>
  );
}

function LatencyTile() {
  const last = shown.value.findLast((bucket) => bucket.latency !== undefined)?.latency;
  const slow = last !== undefined && last.p95 > 0.1;
  return (
    <Tile name="Event latency" mood={last === undefined ? 'plain' : slow ? 'busy' : 'good'} value={last === undefined ? '–' : seconds(last.p95)}>
      {last === undefined ? 'no event was delivered yet' : '95 % of batches, from queued to written'}
    </Tile>
  );
}

function BudgetTile({ seen }: { seen: Snapshot }) {
  const [worst] = [...seen.objectives].sort((a, b) => a.budget_left - b.budget_left);
  if (worst === undefined) return null;
  const left = worst.budget_left;
  return (
    <Tile name="Error budget" mood={left <= 0 ? 'bad' : left < 0.5 ? 'busy' : 'good'} value={left <= 0 ? 'spent' : share(left)}>
      {left === 1 ? 'whole, of every objective' : `left of “${worst.title}”`}
    </Tile>
  );
}
