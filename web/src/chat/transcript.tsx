/** What was asked and what came of it. Follows the end while the reader is there, and leaves them alone elsewhere. */

import { useSignal, useSignalEffect } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { Markdown } from '../ui/markdown.tsx';
import { Spinner } from '../ui/parts.tsx';
import { RefusalCard } from '../ui/refusal.tsx';
import { ask } from '../app/store.ts';
import type { Thread, Turn } from './model.ts';
import { StepRow } from './step-row.tsx';

export function Transcript({ thread }: { thread: Thread }) {
  const frame = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const lastTop = useRef(0);
  const shown = useSignal(WINDOW_TURNS);
  useSignalEffect(() => {
    // Reads what grows, so that this runs whenever the last turn does.
    const last = thread.turns.value.at(-1);
    void [last?.steps.value, last?.answer.value, last?.status.value, last?.refusal.value];
    requestAnimationFrame(() => {
      if (following.current) frame.current?.scrollTo({ top: frame.current.scrollHeight });
    });
  });
  const turns = thread.turns.value;
  const hidden = Math.max(0, turns.length - shown.value);
  return (
    <div
      ref={frame}
      class="transcript"
      role="log"
      aria-label="Conversation"
      tabIndex={0}
      onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
        // Far from the end alone says nothing: the text may have grown since the page scrolled there by itself. Only a
        // reader goes upwards.
        if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) following.current = true;
        else if (scrollTop < lastTop.current) following.current = false;
        lastTop.current = scrollTop;
      }}
    >
      <div class="column">
        {hidden > 0 && (
          <button type="button" class="button quiet" onClick={() => (shown.value += WINDOW_TURNS)}>
            Show {Math.min(hidden, WINDOW_TURNS)} earlier questions
          </button>
        )}
        {thread.notice.value !== undefined && <p class="notice">{thread.notice.value}</p>}
        {turns.slice(hidden).map((turn) => (
          <TurnView key={turn.key} turn={turn} />
        ))}
      </div>
    </div>
  );
}

function TurnView({ turn }: { turn: Turn }) {
  const status = turn.status.value;
  const busy = status === 'sending' || status === 'accepted' || status === 'running';
  const refusal = turn.refusal.value;
  const words = turn.question ?? turn.told.value;
  return (
    <article class="turn" aria-busy={busy} data-status={status}>
      {words === undefined ? (
        <p class="question elsewhere">Asked earlier, or on another of your devices</p>
      ) : (
        <p class="question">
          <span class="visually-hidden">You: </span>
          {words}
        </p>
      )}
      <Steps turn={turn} />
      {turn.heard.value.map((words) => (
        <p class="question">
          <span class="visually-hidden">You, meanwhile: </span>
          {words}
        </p>
      ))}
      <AnswerView turn={turn} />
      {busy && (
        <p class="progress">
          <Spinner /> {PROGRESS[status]}
        </p>
      )}
      {refusal !== undefined && (
        <RefusalCard
          refusal={refusal}
          actions={turn.question === undefined ? [] : [{ label: 'Ask again', run: () => ask(turn.question ?? '') }]}
        />
      )}
    </article>
  );
}

function Steps({ turn }: { turn: Turn }) {
  const all = useSignal(false);
  const steps = turn.steps.value;
  const hidden = all.value ? 0 : Math.max(0, steps.length - WINDOW_STEPS);
  if (steps.length === 0) return null;
  return (
    <>
      {hidden > 0 && (
        <button type="button" class="link" onClick={() => (all.value = true)}>
          Show {hidden} earlier steps
        </button>
      )}
      <ol class="steps" aria-label="Steps">
        {steps.slice(hidden).map((step) => (
          <StepRow key={step.id} step={step} />
        ))}
      </ol>
    </>
  );
}

/** Alone in reading the answer: while it streams, nothing else is drawn again. */
function AnswerView({ turn: { answer } }: { turn: Turn }) {
  if (answer.value === '') return null;
  return (
    <div class="answer" data-testid="answer">
      <span class="visually-hidden">Answer: </span>
      <Markdown groups={answer.groups} />
    </div>
  );
}

/** What a running turn says of itself. */
const PROGRESS = { sending: 'Sending…', accepted: 'Accepted; waiting for the agent…', running: 'Working…' } as const;

/** So many turns and steps are drawn at first; earlier ones on demand. */
const WINDOW_TURNS = 50;
const WINDOW_STEPS = 200;

/** Closer to the end than this counts as reading along. */
const NEAR_END_PX = 80;

