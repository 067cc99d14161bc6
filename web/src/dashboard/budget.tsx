/** Service-level objectives, and what is left of their error budgets. */

import type { Objective } from './api.ts';
import { count, duration, share } from './format.ts';
import { snapshot } from './store.ts';

export function BudgetPanel() {
  const objectives = snapshot.value?.objectives ?? [];
  const hours = objectives[0]?.window_s ?? 0;
  return (
    <section class="panel" aria-label="Error budget">
      <header>
        <h2>Error budget</h2>
        <span class="unit">last {duration(hours)}</span>
      </header>
      <ul class="objectives">
        {objectives.map((objective) => (
          <Row key={objective.id} objective={objective} />
        ))}
      </ul>
      <details>
        <summary>How it is reckoned</summary>
        <p>
          An objective promises a share <var>t</var> of good ones. Its budget is what may go wrong without breaking the promise:
          (1 − <var>t</var>) × (good + bad). Left of it is 1 − bad ÷ budget. The window is a day, or the time since the server
          started. Refusals that are the client’s fault count nowhere.
        </p>
        <dl class="terms">
          {objectives.map(({ id, title, formula }) => (
            <div key={id}>
              <dt>{title}</dt>
              <dd>{formula}</dd>
            </div>
          ))}
        </dl>
      </details>
    </section>
  );
}

function Row({ objective }: { objective: Objective }) {
  const { title, target, good, bad, ratio, budget_left: left } = objective;
  const mood = left <= 0 ? 'bad' : left < 0.5 ? 'busy' : 'good';
  const promised = target === 1 ? 'none may happen' : `at least ${share(target)}`;
  const found = target === 1 ? count(bad) : ratio === null ? 'nothing yet' : share(ratio);
  return (
    <li class={mood} data-objective={objective.id}>
      <p class="head">
        <strong>{title}</strong>
        <span>{left <= 0 ? (left < 0 ? `overspent ${share(-left)}` : 'spent') : `${share(left)} left`}</span>
      </p>
      <meter min={0} max={1} low={0.25} high={0.5} optimum={1} value={Math.max(0, left)} aria-label={`Budget left of ${title}`}>
        {share(Math.max(0, left))}
      </meter>
      <p class="muted">
        {found}; promised: {promised}
        {target < 1 && (good + bad > 0 ? ` (${count(bad)} bad of ${count(good + bad)})` : '')}
      </p>
    </li>
  );
}
