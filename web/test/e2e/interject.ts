import type { Person } from './browser.ts';

/** An event of an agent, without what the server adds. */
export interface Said {
  readonly type: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/**
 * Stands between a page and its gateway, for answers that no agent here would give. To be called before the page connects;
 * what it gives adds the events of one run to what the server says, numbered from `firstSeq` on.
 */
export async function interject(person: Person, thread: string) {
  let toPage: ((message: string) => void) | undefined;
  await person.page.routeWebSocket(/\/ws/, (socket) => {
    const upstream = socket.connectToServer();
    upstream.onMessage((message) => socket.send(message));
    toPage = (message) => socket.send(message);
  });
  return (run: string, firstSeq: number, events: readonly Said[]): void => {
    if (toPage === undefined) throw new Error('the page has not connected');
    for (const [index, event] of events.entries()) {
      const seq = firstSeq + index;
      toPage(JSON.stringify({ ...event, id: `e-${seq}`, epoch: 'x', seq, thread_id: thread, run_id: run, timestamp: '2026-01-01T00:00:00.000Z' }));
    }
  };
}

/** The first event of a run, and the last one. */
export const started: Said = { type: 'agent_started', payload: { agent_id: 'doctor', agent_type: 'builtin', user_id: 'ada' } };
export const completed = (text: string): Said => ({
  type: 'agent_completed',
  payload: { agent_id: 'doctor', final_response: text, execution_time_ms: 5 },
});
