/** When to try again: full jitter, so that clients that fell together do not come back together. */

/** How pauses grow. */
export interface BackoffOptions {
  /** The ceiling of the first pause. Default 500 ms. */
  readonly baseMs: number;
  /** The ceiling of every pause. Default 30 s. */
  readonly maxMs: number;
}

export const DEFAULT_BACKOFF: BackoffOptions = { baseMs: 500, maxMs: 30_000 };

/**
 * The pause before attempt `failures + 1`: uniform in [0, min(max, base · 2^(failures - 1))), and never below `floorMs`
 * (the server's `Retry-After`), on top of which the jitter then lies.
 */
export function backoffDelay(failures: number, random: () => number, options: BackoffOptions, floorMs = 0): number {
  const exponent = Math.min(Math.max(failures - 1, 0), 30);
  const ceiling = Math.min(options.maxMs, options.baseMs * 2 ** exponent);
  return Math.round(floorMs + random() * ceiling);
}
