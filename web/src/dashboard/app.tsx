/** The dashboard's shell: one screen for each phase, and what stands above the panels. */

import { Failed, Loading, OldPageBanner } from '../ui/entrance.tsx';
import { Brand } from '../ui/parts.tsx';
import { BudgetPanel } from './budget.tsx';
import { clock, duration } from './format.ts';
import { GoldenPathPanel } from './golden-path.tsx';
import { LoginScreen } from './login.tsx';
import { Plots } from './plots.tsx';
import { RefusalsPanel } from './refusals.tsx';
import { age, heardAt, isOldPage, isStale, look, phase, signOut, snapshot, span, trouble } from './store.ts';
import { Tiles } from './tiles.tsx';
import { TotalsPanel } from './totals.tsx';

export function App() {
  const current = phase.value;
  switch (current.kind) {
    case 'loading':
      return <Loading>Asking the server for its figures…</Loading>;
    case 'failed':
      return (
        <Failed refusal={current.refusal} again={{ label: 'Ask again', run: () => void look() }}>
          <p class="muted">It is asked again by itself, too.</p>
        </Failed>
      );
    case 'signed-out':
      return <LoginScreen refusal={current.refusal} />;
    case 'open':
      return <Dashboard />;
    default:
      return current satisfies never;
  }
}

function Dashboard() {
  return (
    <>
      {isOldPage.value && <OldPageBanner />}
      <Header />
      <main class={isStale.value ? 'board stale' : 'board'}>
        {trouble.value !== undefined && isStale.value && (
          <p class="notice" role="status">
            <strong>{trouble.value.title}.</strong> These are the figures of {clock(heardAt.value)}, {duration(age.value)} ago.{' '}
            {trouble.value.remedy}
          </p>
        )}
        <Tiles />
        <div class="columns">
          <BudgetPanel />
          <GoldenPathPanel />
        </div>
        <Span />
        <Plots />
        <RefusalsPanel />
        <TotalsPanel />
      </main>
    </>
  );
}

function Header() {
  const seen = snapshot.value;
  return (
    <header class="top">
      <Brand />
      <span class="what">Operator dashboard</span>
      <dl class="facts">
        <div>
          <dt>node</dt>
          <dd class="mono">{seen?.node}</dd>
        </div>
        <div>
          <dt>version</dt>
          <dd>{seen?.version}</dd>
        </div>
        <div>
          <dt>up</dt>
          <dd>{duration(seen?.uptime_s ?? 0)}</dd>
        </div>
      </dl>
      <Freshness />
      <button type="button" class="button quiet" onClick={() => void signOut()}>
        Sign out
      </button>
    </header>
  );
}

function Freshness() {
  if (isStale.value) {
    return (
      <span class="badge bad" data-fresh="stale">
        <span class="dot" aria-hidden="true" />
        stale, {duration(age.value)} old
      </span>
    );
  }
  if (snapshot.value?.draining === true) {
    return (
      <span class="badge busy" data-fresh="draining">
        <span class="dot" aria-hidden="true" />
        draining
      </span>
    );
  }
  return (
    <span class="badge good" data-fresh="live">
      <span class="dot" aria-hidden="true" />
      live
    </span>
  );
}

const SPANS = [
  [5, '5 min'],
  [15, '15 min'],
  [60, '1 h'],
] as const;

function Span() {
  return (
    <div class="section-head">
      <h2>Over time</h2>
      <div class="segments" role="group" aria-label="Time that is shown">
        {SPANS.map(([minutes, label]) => (
          <button
            key={minutes}
            type="button"
            aria-pressed={span.value === minutes}
            onClick={() => {
              span.value = minutes;
            }}
          >
            {label}
          </button>
        ))}
      </div>
    </div>
  );
}
