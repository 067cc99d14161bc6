/**
 * Where this reader stands in each thread: what tells a repeat from news, and what `resume` asks from.
 *
 * While a thread is being caught up with, what runs ahead of it is let go: the server sends it once more, in its place.
 * That happens in every reconnect to a thread whose run goes on, since the server speaks before it has read our `resume`.
 */

import { LIMITS } from './events.gen.js';
import type { ResumeGap, ResumePoint, ServerMessage } from './events.gen.js';

export type Observation =
  | { readonly kind: 'new' }
  | { readonly kind: 'repeat' }
  /** Ahead of what is missing. `ask` is what to resume from, once for each hole. */
  | { readonly kind: 'ahead'; readonly ask?: ResumePoint }
  /** Something is missing that cannot be had. */
  | { readonly kind: 'gap'; readonly threadId: string; readonly expected: number; readonly got: number };

interface Place {
  /** None before the first event of a thread that is followed from its beginning. */
  readonly epoch: string | undefined;
  seq: number;
  /**
   * `asked`: a `resume` is on its way; `again`: another one, for what is left of what was gone; `answered`: all that can be
   * had is about to come.
   */
  catching: 'no' | 'asked' | 'again' | 'answered';
}

export class Positions {
  readonly #threads = new Map<string, Place>();

  /** Takes note of an event. Delivery is at least once; a position seen before is a repeat. */
  observe(message: ServerMessage, resumable: boolean): Observation {
    if (!('seq' in message)) return { kind: 'new' };
    const { thread_id: threadId, epoch, seq } = message;
    const before = this.#threads.get(threadId);
    if (before === undefined) {
      this.#set(threadId, { epoch, seq, catching: 'no' });
      return { kind: 'new' };
    }
    // A new epoch is another stream under the same name: its numbers say nothing about the old one's.
    const begun: Place = { epoch, seq: 0, catching: before.epoch === undefined ? before.catching : 'no' };
    const last = before.epoch === epoch ? before : begun;
    if (last !== before) this.#set(threadId, last);
    if (seq <= last.seq) return { kind: 'repeat' };
    const expected = last.seq + 1;
    if (seq !== expected && resumable && last.catching !== 'answered') {
      if (last.catching !== 'no') return { kind: 'ahead' };
      last.catching = 'asked';
      return { kind: 'ahead', ask: { thread_id: threadId, epoch, after_seq: last.seq } };
    }
    const catching = seq === expected && last.catching !== 'answered' ? last.catching : 'no';
    this.#set(threadId, { epoch, seq, catching });
    return seq === expected ? { kind: 'new' } : { kind: 'gap', threadId, expected, got: seq };
  }

  /** A thread is to be heard from its beginning; gives what to ask, unless it is known. */
  follow(threadId: string): ResumePoint | undefined {
    if (this.#threads.has(threadId)) return undefined;
    this.#set(threadId, { epoch: undefined, seq: 0, catching: 'asked' });
    return { thread_id: threadId, after_seq: 0 };
  }

  forget(threadId: string): void {
    this.#threads.delete(threadId);
  }

  /** The server sends what was asked for: from here on a hole stays one. */
  resumed(threadId: string): void {
    const place = this.#threads.get(threadId);
    if (place !== undefined && place.catching !== 'no') place.catching = 'answered';
  }

  /** Some of what was asked for is gone. Gives where the rest begins, if there is some that was not asked for yet. */
  lost({ thread_id: threadId, epoch, first_available_seq: first, last_seq: tail, reason }: ResumeGap): ResumePoint | undefined {
    const before = this.#threads.get(threadId);
    // The answer to a question from before the stream changed: its events told of the change first.
    const moved = before !== undefined && before.epoch === epoch && first !== undefined && first <= before.seq + 1;
    if (moved && reason !== 'ahead') return undefined;
    this.#threads.delete(threadId);
    if (epoch === undefined) return undefined;
    // Who is ahead has seen all there is, and more. Who was told of a gap twice in a row takes what comes.
    if (first === undefined || reason === 'ahead' || before?.catching === 'again') {
      this.#set(threadId, { epoch, seq: tail, catching: 'no' });
      return undefined;
    }
    this.#set(threadId, { epoch, seq: first - 1, catching: 'again' });
    return { thread_id: threadId, epoch, after_seq: first - 1 };
  }

  /** The positions in the form of `resume`, as many as it takes; they count as asked for. */
  resume(): ResumePoint[] {
    for (const place of this.#threads.values()) place.catching = 'no';
    const recent = [...this.#threads].slice(-LIMITS.resumeThreads);
    return recent.map(([thread_id, place]) => {
      place.catching = 'asked';
      return { thread_id, ...(place.epoch === undefined ? {} : { epoch: place.epoch }), after_seq: place.seq };
    });
  }

  /** The thread that moved last stands last, so that `resume` can leave out the ones longest at rest. */
  #set(threadId: string, place: Place): void {
    this.#threads.delete(threadId);
    this.#threads.set(threadId, place);
  }
}
