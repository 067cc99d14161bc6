/** The golden path: what the probe of the last hour found, walk by walk. */

import type { Probe, ProbeEntry } from './api.ts';
import { clock, duration, seconds, share } from './format.ts';
import { snapshot } from './store.ts';

const STEPS = ['login', 'connect', 'ask', 'events', 'answer'] as const;
const BARS = 60;
const ROWS = 10;

export function GoldenPathPanel() {
  const probe = snapshot.value?.probe;
  if (probe === undefined) return null;
  return (
    <section class="panel" aria-label="Golden path">
      <header>
        <h2>Golden path</h2>
        <span class="unit">{probe.off === null ? `every ${duration(probe.interval_s)}` : 'off'}</span>
      </header>
      <p class="muted">Log in, connect, ask the built-in agent, five events, an answer: what a user does, done by the server itself.</p>
      <Found probe={probe} />
    </section>
  );
}

function Found({ probe }: { probe: Probe }) {
  if (probe.off !== null) return <p class="empty">No probe runs: {probe.off}.</p>;
  const last = probe.entries.at(-1);
  if (last === undefined || probe.rate === null) return <p class="empty">The first probe is on its way.</p>;
  const slowest = Math.max(...probe.entries.map((entry) => entry.duration_ms));
  return (
    <>
      <p class="golden">
        <strong class={probe.failed === 0 ? 'good' : last.ok ? 'busy' : 'bad'} data-golden={last.ok ? 'ok' : 'failed'}>
          {share(probe.rate)}
        </strong>{' '}
        of {probe.succeeded + probe.failed} in the last hour succeeded
      </p>
      {!last.ok && (
        <p class="notice" role="status">
          The last probe failed at <strong>{last.failed?.step}</strong>: <code>{last.failed?.reason}</code>
        </p>
      )}
      <div class="bars" role="img" aria-label={`The last ${Math.min(probe.entries.length, BARS)} probes; ${probe.failed} failed in the last hour`}>
        {probe.entries.slice(-BARS).map((entry) => (
          <Bar key={entry.at} entry={entry} slowest={slowest} />
        ))}
      </div>
      <Steps entry={last} />
      <details class="figures">
        <summary>
          Table<span class="visually-hidden">: Golden path</span>
        </summary>
        <div class="scroll" tabIndex={0} role="region" aria-label="Golden path, as a table">
          <table>
            <thead>
              <tr>
                <th scope="col">At</th>
                {STEPS.map((step) => (
                  <th key={step} scope="col">
                    {step}
                  </th>
                ))}
                <th scope="col">in all</th>
              </tr>
            </thead>
            <tbody>
              {probe.entries
                .slice(-ROWS)
                .reverse()
                .map((entry) => (
                  <tr key={entry.at}>
                    <th scope="row">{clock(entry.at)}</th>
                    {STEPS.map((step) => (
                      <td key={step}>{stepText(entry, step)}</td>
                    ))}
                    <td>{entry.ok ? seconds(entry.duration_ms / 1000) : 'failed'}</td>
                  </tr>
                ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}

/** Drawn rather than styled: the security policy allows no styles in attributes. */
function Bar({ entry, slowest }: { entry: ProbeEntry; slowest: number }) {
  const height = entry.ok ? Math.max(4, (entry.duration_ms / slowest) * 30) : 32;
  const text = `${clock(entry.at)}: ${entry.ok ? seconds(entry.duration_ms / 1000) : `failed at ${entry.failed?.step ?? '?'}`}`;
  return (
    <svg viewBox="0 0 6 32" preserveAspectRatio="none" class={entry.ok ? 'good' : 'bad'}>
      <title>{text}</title>
      <rect x="0.5" y={32 - height} width="5" height={height} rx="1" />
    </svg>
  );
}

function Steps({ entry }: { entry: ProbeEntry }) {
  return (
    <ol class="steps" aria-label="The last probe, step by step">
      {STEPS.map((step) => (
        <li key={step} class={entry.steps.some(({ name }) => name === step) ? 'good' : entry.failed?.step === step ? 'bad' : ''}>
          <span>{step}</span>
          <span class="time">{stepText(entry, step)}</span>
        </li>
      ))}
    </ol>
  );
}

function stepText(entry: ProbeEntry, step: string): string {
  const done = entry.steps.find(({ name }) => name === step);
  if (done !== undefined) return seconds(done.ms / 1000);
  return entry.failed?.step === step ? entry.failed.reason : '–';
}
