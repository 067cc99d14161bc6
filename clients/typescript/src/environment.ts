/** The world as the client sees it. Everything here is injected, so that tests need neither network nor time. */

/** The part of a browser's `WebSocket` that the client uses. */
export interface WebSocketLike {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketFactory = new (url: string, protocols: string[]) => WebSocketLike;

/** Time as a number of milliseconds, and timers. */
export interface Clock {
  now(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface Environment {
  readonly WebSocket: WebSocketFactory;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** The environment of a browser (or of Node 22 and later). */
export function browserEnvironment(): Environment {
  return {
    WebSocket: globalThis.WebSocket as unknown as WebSocketFactory,
    fetch: (url, init) => globalThis.fetch(url, init),
    clock: {
      now: () => Date.now(),
      setTimeout: (callback, ms) => globalThis.setTimeout(callback, ms),
      clearTimeout: (timer) => globalThis.clearTimeout(timer as ReturnType<typeof setTimeout>),
    },
    random: () => Math.random(),
  };
}

/** A fresh id of 128 random bits. `crypto.randomUUID` would need a secure context, which a page on plain HTTP lacks. */
export function freshId(prefix: string): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return `${prefix}_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
