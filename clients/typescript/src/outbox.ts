/**
 * Questions on their way to the server. Each is kept until the server has answered for it, and goes out again, under the
 * same id, on every connection until then.
 *
 * Few are in flight at once: a client that comes back with many would otherwise run into the server's limit on messages
 * a second, lose its connection for it, and come back with as many.
 */

import { encode } from './codec.js';
import type { ClientMessage } from './events.gen.js';

interface Question {
  readonly message: ClientMessage;
  /** Of its UTF-8 text, which is what the server's limit counts. */
  readonly bytes: number;
}

export class Outbox {
  /** In the order of asking. */
  readonly #waiting = new Map<string, Question>();
  readonly #inFlight = new Set<string>();
  #bytes = 0;

  /** The size of a message as the server counts it. */
  static size(message: ClientMessage): number {
    return new TextEncoder().encode(encode(message)).length;
  }

  /** Keeps a question; false if there is no room for it. One that is there already stays as it is. */
  add(id: string, message: ClientMessage): boolean {
    if (this.#waiting.has(id)) return true;
    const bytes = Outbox.size(message);
    if (this.#waiting.size >= MOST_QUESTIONS || this.#bytes + bytes > MOST_BYTES) return false;
    this.#waiting.set(id, { message, bytes });
    this.#bytes += bytes;
    return true;
  }

  /** The server has answered for it. */
  remove(id: string): void {
    const question = this.#waiting.get(id);
    if (question === undefined) return;
    this.#waiting.delete(id);
    this.#inFlight.delete(id);
    this.#bytes -= question.bytes;
  }

  /** What was in flight may be lost: all of it goes out again. */
  retry(): void {
    this.#inFlight.clear();
  }

  /** Takes out the questions longer than `most` bytes, which no server with that limit will take. */
  takeLonger(most: number): ClientMessage[] {
    const longer = [...this.#waiting].filter(([, { bytes }]) => bytes > most);
    for (const [id] of longer) this.remove(id);
    return longer.map(([, { message }]) => message);
  }

  /** Sends what may go out now. `send` says whether it could. */
  pump(send: (message: ClientMessage) => boolean): void {
    for (const [id, { message }] of this.#waiting) {
      if (this.#inFlight.size >= WINDOW) return;
      if (this.#inFlight.has(id)) continue;
      if (!send(message)) return;
      this.#inFlight.add(id);
    }
  }
}

/** Questions that may wait: more than a person asks, less than a page in a loop. */
const MOST_QUESTIONS = 100;
const MOST_BYTES = 1 << 20;

/** Questions sent and not answered for. */
const WINDOW = 8;
