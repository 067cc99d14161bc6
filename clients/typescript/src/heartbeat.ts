/** Notices a dead line: pings are answered by the browser and never seen by scripts, so silence is what there is to go by. */

import type { Clock } from './environment.js';

export class Heartbeat {
  readonly #clock: Clock;
  #timer: unknown;
  #heardAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something came. */
  heard(): void {
    this.#heardAt = this.#clock.now();
  }

  /** After an interval of silence calls `ask`, and after another one `lost`. An interval of 0 watches nothing. */
  watch(intervalMs: number, ask: () => void, lost: () => void): void {
    this.stop();
    if (!(intervalMs > 0)) return;
    this.#timer = this.#clock.setTimeout(() => {
      const silence = this.#clock.now() - this.#heardAt;
      if (silence >= 2 * intervalMs) {
        lost();
        return;
      }
      if (silence >= intervalMs) ask();
      this.watch(intervalMs, ask, lost);
    }, intervalMs);
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer);
  }
}
