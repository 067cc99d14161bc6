/** The chat: threads, transcript, composer, and the state of the connection. */

import { useSignal } from '@preact/signals';
import type { ConnectionState } from '@portcullis/client';
import { chat, connection, earlier, forget, openThread, readEarlier, type Session, show, signInAgain, signOut } from '../app/store.ts';
import { Brand, DocsLink, Icon } from '../ui/parts.tsx';
import { RefusalCard } from '../ui/refusal.tsx';
import { Composer } from './composer.tsx';
import { ConnectionBadge } from './connection-badge.tsx';
import { EmptyState } from './empty-state.tsx';
import { Transcript } from './transcript.tsx';

export function ChatScreen({ session }: { session: Session }) {
  const listOpen = useSignal(false);
  const id = openThread.value;
  const thread = id === undefined ? undefined : chat.value.thread(id);
  const draft = useSignal('');
  const choose = (next: string | undefined) => {
    show(next);
    listOpen.value = false;
  };
  return (
    <div class="chat">
      <header class="top">
        <button
          type="button"
          class="icon-button only-narrow"
          aria-label="Conversations"
          aria-expanded={listOpen.value}
          aria-controls="threads"
          onClick={() => (listOpen.value = !listOpen.value)}
        >
          <Icon name="menu" />
        </button>
        <Brand />
        <span class="grow" />
        <ConnectionBadge />
        <span class="user" title={session.user.id}>
          {session.user.name}
        </span>
        <button type="button" class="button quiet" onClick={signOut}>
          Sign out
        </button>
      </header>
      <nav id="threads" class={listOpen.value ? 'threads open' : 'threads'} aria-label="Conversations">
        <button type="button" class="button wide" onClick={() => choose(undefined)}>
          <Icon name="plus" /> New conversation
        </button>
        <ThreadList onChoose={choose} />
        <DocsLink />
      </nav>
      <main class="conversation">
        <h1 class="visually-hidden">{thread?.title.value ?? 'New conversation'}</h1>
        {thread === undefined ? <EmptyState onPick={(text) => (draft.value = text)} /> : <Transcript key={thread.id} thread={thread} />}
        <div class="dock">
          <ConnectionRefusal state={connection.value} session={session} />
          <Composer draft={draft} thread={thread} session={session} />
        </div>
      </main>
    </div>
  );
}

function ThreadList({ onChoose }: { onChoose: (id: string) => void }) {
  const threads = chat.value.threads.value;
  const read = earlier.value;
  if (threads.length === 0 && read.kind === 'whole') {
    return <p class="hint">What you ask appears here, and what you ask on your other devices.</p>;
  }
  return (
    <>
      <ul>
        {threads.map((thread) => (
          <li key={thread.id}>
            <button type="button" class="thread" aria-current={openThread.value === thread.id} onClick={() => onChoose(thread.id)}>
              {thread.title.value}
            </button>
            <button
              type="button"
              class="icon-button delete"
              aria-label={`Delete the conversation: ${thread.title.value}`}
              title="Delete"
              onClick={() => {
                if (confirm('Delete this conversation for good? What goes on in it is stopped.')) void forget(thread.id);
              }}
            >
              <Icon name="trash" />
            </button>
          </li>
        ))}
      </ul>
      {read.kind === 'more' && (
        <button type="button" class="button quiet" onClick={() => void readEarlier()}>
          Earlier conversations
        </button>
      )}
      {read.kind === 'failed' && (
        <p class="hint" role="status">
          Earlier conversations could not be read: {read.refusal.title}.{' '}
          <button type="button" class="button quiet" onClick={() => void readEarlier()}>
            Try again
          </button>
        </p>
      )}
    </>
  );
}

/** Shown where the connection is refused or cannot be had; a short loss is left to the badge. */
function ConnectionRefusal({ state, session }: { state: ConnectionState; session: Session }) {
  const retry = { label: 'Try again now', run: () => session.client.connect(), primary: true };
  switch (state.status) {
    case 'waiting':
      return state.attempt <= QUIET_ATTEMPTS && state.refusal.source === 'local' ? null : (
        <RefusalCard refusal={state.refusal} actions={[retry]} />
      );
    case 'closed':
      return state.refusal === undefined ? null : (
        <RefusalCard
          refusal={state.refusal}
          actions={[{ label: 'Sign in again', run: signInAgain, primary: true }, { ...retry, primary: false }]}
        />
      );
    case 'idle':
    case 'connecting':
    case 'live':
      return null;
    default:
      return state satisfies never;
  }
}

/** So many attempts may fail for want of a network before more is said than "reconnecting". */
const QUIET_ATTEMPTS = 3;
