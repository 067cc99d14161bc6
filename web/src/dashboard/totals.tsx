/** Counts since the start of the process, for those that no plot shows. */

import type { Counts } from './api.ts';
import { count } from './format.ts';
import { total } from './series.ts';
import { snapshot } from './store.ts';

export function TotalsPanel() {
  const totals = snapshot.value?.totals;
  if (totals === undefined) return null;
  const figures: readonly (readonly [string, number, (Counts | undefined)?])[] = [
    ['Handshakes accepted', totals.accepted ?? 0],
    ['Handshakes refused', total(totals.refused), totals.refused],
    ['Connections dropped unread', totals.dropped ?? 0],
    ['Messages accepted', totals.messages ?? 0],
    ['Messages refused', total(totals.messages_refused), totals.messages_refused],
    ['Events of runs', totals.events ?? 0],
    ['Events queued for connections', totals.deliveries ?? 0],
    ['Frames that found their queue full', totals.overflows ?? 0],
    ['Runs answered', totals.runs_completed ?? 0],
    ['Runs failed', total(totals.runs_failed), totals.runs_failed],
    ['Heartbeat timeouts', totals.heartbeat_timeouts ?? 0],
    ['Upgrades of old pages', totals.stale_pages ?? 0],
  ];
  const closes = { '1011': 0, ...totals.closes };
  return (
    <section class="panel" aria-label="Since the start">
      <header>
        <h2>Since the start</h2>
        <span class="unit">the probe is in none of these</span>
      </header>
      <div class="pair">
        <table>
          <caption class="visually-hidden">Counts since the start</caption>
          <tbody>
            {figures.map(([name, value, parts]) => (
              <tr key={name}>
                <th scope="row">
                  {name}
                  {parts !== undefined && <span class="parts">{named(parts)}</span>}
                </th>
                <td>{count(value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <table>
          <caption>Close frames sent, by code</caption>
          <tbody>
            {Object.entries(closes)
              .sort(([a], [b]) => a.localeCompare(b))
              .map(([code, times]) => (
                <tr key={code} class={code === '1011' ? (times === 0 ? 'good' : 'bad') : ''}>
                  <th scope="row">
                    <code>{code}</code> <span class="parts">{CODES[code] ?? ''}</span>
                  </th>
                  <td>{count(times)}</td>
                </tr>
              ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function named(parts: Counts): string {
  return Object.entries(parts)
    .sort(([, a], [, b]) => b - a)
    .map(([name, value]) => `${name} ${count(value)}`)
    .join(', ');
}

const CODES: Readonly<Record<string, string>> = {
  '1000': 'normal',
  '1001': 'going away, or silent too long',
  '1002': 'protocol error',
  '1003': 'unsupported data',
  '1005': 'answer to an empty close',
  '1007': 'invalid payload',
  '1008': 'policy: mostly the credential',
  '1009': 'message too big',
  '1011': 'our failure',
  '1012': 'restart',
  '1013': 'slow consumer, try again later',
  other: 'chosen by the peer',
};
