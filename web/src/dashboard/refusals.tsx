/** Refused handshakes: by reason, then one by one, each with what was sent and what to do. */

import { useSignal } from '@preact/signals';
import { RefusalCard } from '../ui/refusal.tsx';
import type { Evidence, RefusedHandshake } from './api.ts';
import { clock, count } from './format.ts';
import { ranking } from './series.ts';
import { list, refusals, snapshot, want, wanted } from './store.ts';

export function RefusalsPanel() {
  const totals = snapshot.value?.totals;
  const reasons = totals === undefined ? [] : ranking([totals], (figures) => figures.refused);
  return (
    <section class="panel refusals" aria-label="Refused handshakes">
      <header>
        <h2>Refused handshakes</h2>
        <Finder />
      </header>
      <div class="chips" role="group" aria-label="Reasons">
        <Chip label="all reasons" pressed={wanted.value.kind === 'all'} choose={() => want({ kind: 'all' })} />
        {reasons.map(([reason, times]) => (
          <Chip
            key={reason}
            label={reason}
            times={times}
            pressed={wanted.value.kind === 'reason' && wanted.value.reason === reason}
            choose={() => want({ kind: 'reason', reason })}
          />
        ))}
      </div>
      <List />
    </section>
  );
}

function Chip(props: { label: string; times?: number; pressed: boolean; choose: () => void }) {
  return (
    <button type="button" class="chip" aria-pressed={props.pressed} onClick={props.choose}>
      {props.label}
      {props.times !== undefined && <span class="times">{count(props.times)}</span>}
    </button>
  );
}

/** A user reads out a request id: here is what it was. */
function Finder() {
  const id = useSignal('');
  const find = (event: Event) => {
    event.preventDefault();
    const requestId = id.value.trim();
    want(requestId === '' ? { kind: 'all' } : { kind: 'request', requestId });
  };
  return (
    <form class="finder" role="search" onSubmit={find}>
      <label>
        <span class="visually-hidden">Request id</span>
        <input
          name="request-id"
          type="search"
          placeholder="Request id"
          spellcheck={false}
          autocomplete="off"
          value={id.value}
          onInput={(event) => {
            id.value = event.currentTarget.value;
          }}
        />
      </label>
      <button type="submit" class="button">
        Find
      </button>
    </form>
  );
}

function List() {
  const state = refusals.value;
  switch (state.kind) {
    case 'loading':
      return <p class="empty">Asking for the refusals…</p>;
    case 'failed':
      return <RefusalCard refusal={state.refusal} actions={[{ label: 'Ask again', run: () => void list() }]} />;
    case 'known':
      return state.list.length === 0 ? <p class="empty">{nothing()}</p> : <Records known={state.list} />;
    default:
      return state satisfies never;
  }
}

function Records({ known }: { known: readonly RefusedHandshake[] }) {
  const most = useSignal(FIRST);
  return (
    <>
      <ul class="records">
        {known.slice(0, most.value).map((refusal) => (
          <li key={refusal.seq}>
            <Record refusal={refusal} />
          </li>
        ))}
      </ul>
      {known.length > most.value && (
        <button
          type="button"
          class="button"
          onClick={() => {
            most.value = known.length;
          }}
        >
          Show {known.length - most.value} older ones
        </button>
      )}
    </>
  );
}

/** As many as fit on a screen. */
const FIRST = 15;

function nothing(): string {
  const asked = wanted.value;
  switch (asked.kind) {
    case 'all':
      return 'No handshake was refused since the server started.';
    case 'reason':
      return 'The single handshakes that were refused for this reason are not kept any more: only the last 1,000 are.';
    case 'request':
      return 'No refused handshake with this id is kept. The last 1,000 are, since the server started.';
    default:
      return asked satisfies never;
  }
}

function Record({ refusal }: { refusal: RefusedHandshake }) {
  return (
    <details class="record" data-reason={refusal.reason}>
      <summary>
        <time dateTime={refusal.at}>{clock(refusal.at)}</time>
        <code class="reason">{refusal.reason}</code>
        <span class="sent">{sent(refusal)}</span>
        <span class="from">{refusal.evidence?.origin ?? 'no origin'}</span>
        <span class="marks">
          {refusal.probe && <span class="badge">probe</span>}
          {refusal.evidence?.stale_page === true && <span class="badge busy">old page</span>}
        </span>
      </summary>
      <Detail refusal={refusal} />
    </details>
  );
}

/** How the credential came, in a few words. */
function sent({ form, evidence }: RefusedHandshake): string {
  if (evidence === null) return 'the request could not be read';
  const places = [...evidence.authorization, ...evidence.protocols];
  if (places.length > 0) return places.join(', ');
  return form ?? 'no credential';
}

function Detail({ refusal }: { refusal: RefusedHandshake }) {
  const { evidence } = refusal;
  return (
    <div class="detail">
      <p>
        <strong>{refusal.title}.</strong> {refusal.detail !== '' && <>Found: {refusal.detail}.</>}
      </p>
      <p>
        <strong>What to do: </strong>
        {refusal.remedy}
      </p>
      {refusal.hint !== null && (
        <p>
          <strong>The client was told: </strong>
          {refusal.hint}
        </p>
      )}
      <dl class="terms">
        <Term name="request id">
          <code>{refusal.request_id}</code>
        </Term>
        <Term name="answered">
          {refusal.status === null ? 'without a status' : `HTTP ${refusal.status}`}; fault: {refusal.fault}
        </Term>
        <Term name="peer">
          <code>{refusal.peer}</code>
        </Term>
        {refusal.form !== null && <Term name="token came in">{refusal.form}</Term>}
        {evidence !== null && <Sent evidence={evidence} />}
      </dl>
      <p class="hint">Values are never kept: this is the shape of what was sent.</p>
    </div>
  );
}

function Sent({ evidence }: { evidence: Evidence }) {
  return (
    <>
      <Term name="request">
        <code>
          {evidence.method} {evidence.path}
          {evidence.query.length > 0 ? `?${evidence.query.join('&')}` : ''}
        </code>
      </Term>
      <Term name="host, origin">
        <code>{evidence.host ?? '–'}</code>, {evidence.origin === null ? 'no origin (not a browser)' : <code>{evidence.origin}</code>}
      </Term>
      <Term name="Authorization">{words(evidence.authorization)}</Term>
      <Term name="subprotocols">{words(evidence.protocols)}</Term>
      <Term name="WebSocket version">{evidence.version ?? '–'}</Term>
      <Term name="header lines">{words(evidence.headers)}</Term>
      {evidence.stale_page !== null && (
        <Term name="page">{evidence.stale_page ? 'from another build than this server' : 'of this server’s build'}</Term>
      )}
    </>
  );
}

function Term({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function words(list: readonly string[]) {
  if (list.length === 0) return 'none';
  return list.map((word, index) => <code key={index}>{word}</code>);
}
