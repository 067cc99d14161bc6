/** Where this reader stands in each thread: what tells a repeat from news, and what `resume` asks from. */

import { LIMITS } from './events.gen.js';
import type { ResumePoint, ServerMessage } from './events.gen.js';

export type Observation =
  | { readonly kind: 'new' }
  | { readonly kind: 'repeat' }
  | { readonly kind: 'gap'; readonly threadId: string; readonly expected: number; readonly got: number };

export class Positions {
  readonly #threads = new Map<string, { epoch: string; seq: number }>();

  /** Takes note of an event. Delivery is at least once; a position seen before is a repeat. */
  observe(message: ServerMessage): Observation {
    if (!('seq' in message)) return { kind: 'new' };
    const { thread_id: threadId, epoch, seq } = message;
    const last = this.#threads.get(threadId);
    // The thread that moved last stands last, so that `recent` can leave out the ones longest at rest.
    this.#threads.delete(threadId);
    if (last === undefined || last.epoch !== epoch) {
      // A new epoch is another stream under the same name: its numbers say nothing about the old one's.
      this.#threads.set(threadId, { epoch, seq });
      return { kind: 'new' };
    }
    this.#threads.set(threadId, last);
    if (seq <= last.seq) return { kind: 'repeat' };
    const expected = last.seq + 1;
    last.seq = seq;
    return seq === expected ? { kind: 'new' } : { kind: 'gap', threadId, expected, got: seq };
  }

  forget(threadId: string): void {
    this.#threads.delete(threadId);
  }

  /** The positions in the form of `resume`, as many as it takes. */
  recent(): ResumePoint[] {
    const points = [...this.#threads].map(([thread_id, { epoch, seq }]) => ({ thread_id, epoch, after_seq: seq }));
    return points.slice(-LIMITS.resumeThreads);
  }
}
