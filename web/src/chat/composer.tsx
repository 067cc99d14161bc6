/** Where one writes. Enter sends, Shift+Enter starts a new line. */

import type { Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { ask, connection, type Session } from '../app/store.ts';
import { Icon } from '../ui/parts.tsx';
import type { Thread } from './model.ts';

export function Composer({ draft, thread, session }: { draft: Signal<string>; thread: Thread | undefined; session: Session }) {
  const field = useRef<HTMLTextAreaElement>(null);
  // Read in place: a computed value would keep looking at the thread that was open first, or at none.
  const running = runningRun(thread);
  useEffect(() => field.current?.focus(), [thread?.id]);
  useEffect(
    () =>
      draft.subscribe((text) => {
        const area = field.current;
        if (area === null) return;
        // An example was picked: it is shown for a look and a change before it is sent.
        if (area.value !== text) {
          area.value = text;
          area.focus();
        }
        fit(area);
      }),
    [draft],
  );
  const submit = () => {
    const text = draft.value.trim();
    if (text === '') return;
    ask(text);
    draft.value = '';
    field.current?.focus();
  };
  const keyed = (event: KeyboardEvent) => {
    // During composition Enter chooses a word (Japanese, Chinese, Korean).
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <textarea
        ref={field}
        rows={1}
        aria-label="Your question"
        placeholder="Ask, or paste what you have"
        maxLength={MAX_CHARACTERS}
        onInput={(event) => (draft.value = event.currentTarget.value)}
        onKeyDown={keyed}
      />
      {running !== undefined && (
        <button
          type="button"
          class="button stop"
          disabled={connection.value.status !== 'live'}
          onClick={() => session.client.cancel(running)}
        >
          <Icon name="stop" /> Stop
        </button>
      )}
      <button type="submit" class="send" aria-label="Send" disabled={draft.value.trim() === ''}>
        <Icon name="send" />
      </button>
    </form>
  );
}

/** The run to stop: the last one of the thread that has not ended. */
function runningRun(thread: Thread | undefined): string | undefined {
  const turn = thread?.turns.value.findLast(({ status }) => status.value === 'accepted' || status.value === 'running');
  return turn?.runId.value;
}

/** Grows with its text; CSS sets the limits. Sizes set by script pass a policy that forbids inline styles. */
function fit(area: HTMLTextAreaElement): void {
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight + 2}px`;
}

const MAX_CHARACTERS = 60_000;
