/** One line on the state of the connection, counting down where it waits. */

import type { ConnectionState } from '@portcullis/client';
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { connection } from '../app/store.ts';

export function ConnectionBadge() {
  const state = connection.value;
  const now = useSignal(Date.now());
  const waiting = state.status === 'waiting';
  useEffect(() => {
    if (!waiting) return undefined;
    now.value = Date.now();
    const timer = setInterval(() => (now.value = Date.now()), 1000);
    return () => clearInterval(timer);
  }, [waiting, now]);
  const { tone, text, title } = describe(state, now.value);
  return (
    <span class={`badge ${tone}`} data-connection={state.status} data-transport={state.status === 'live' ? state.transport : undefined} title={title}>
      <span class="dot" aria-hidden="true" />
      {/* The countdown changes every second: the status region says only what kind of state it is. */}
      <span role="status" class="visually-hidden">
        {text.split(' in ', 1)[0]}
      </span>
      <span aria-hidden="true">{text}</span>
    </span>
  );
}

function describe(state: ConnectionState, now: number): { tone: string; text: string; title?: string } {
  switch (state.status) {
    case 'idle':
      return { tone: 'idle', text: 'Not connected' };
    case 'connecting':
      return { tone: 'busy', text: state.attempt === 1 ? 'Connecting…' : 'Reconnecting…' };
    case 'live':
      // Slower to notice a loss, and worth a word to whoever runs the network in between.
      if (state.transport === 'sse') {
        const title = 'Something on the way blocks WebSockets: events come as a stream over HTTP, messages go by POST';
        return { tone: 'good', text: 'Connected without WebSocket', title };
      }
      return { tone: 'good', text: 'Connected', title: `Mode ${state.hello.mode}, node ${state.hello.node}, protocol ${state.hello.protocol ?? 'none'}` };
    case 'waiting': {
      const seconds = Math.max(0, Math.ceil((state.retryAt - now) / 1000));
      return { tone: 'busy', text: seconds === 0 ? 'Reconnecting…' : `Reconnecting in ${seconds} s`, title: state.refusal.title };
    }
    case 'closed':
      return state.refusal === undefined
        ? { tone: 'idle', text: 'Not connected' }
        : { tone: 'bad', text: 'Not connected', title: state.refusal.title };
    default:
      return state satisfies never;
  }
}
