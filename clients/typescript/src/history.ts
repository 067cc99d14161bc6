/** What is kept of a user's own threads, over HTTP: a list, the events, and their end. */

import { isRecord, localRefusal, problemRefusal, RefusedError } from './errors.js';
import type { ServerEvent } from './events.gen.js';

export interface HistoryOptions {
  /** Where the gateway is: `https://host[:port]`. */
  readonly gateway: string;
  /** Asked for each request. */
  readonly token: () => string | Promise<string>;
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** A thread in the list. */
export interface ThreadSummary {
  readonly thread_id: string;
  readonly epoch: string;
  readonly last_seq: number;
  /** RFC 3339. */
  readonly updated_at: string;
  readonly last_event: ServerEvent['type'];
  /** How the last answer begins, where the last event is one. */
  readonly preview?: string;
}

export interface ThreadPage {
  readonly threads: readonly ThreadSummary[];
  /** To be given for the next page; absent on the last one. */
  readonly next_cursor?: string;
}

export interface EventPage {
  readonly thread_id: string;
  readonly epoch: string;
  readonly first_seq: number;
  readonly last_seq: number;
  readonly events: readonly ServerEvent[];
  readonly next_cursor?: string;
}

export interface PageOptions {
  readonly cursor?: string;
  /** 1 to 200; 50 if absent. */
  readonly limit?: number;
}

/** All methods throw a {@link RefusedError} where the server says no, or does not answer. */
export class History {
  readonly #options: HistoryOptions;

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  /** The user's threads, the one that moved last first. */
  async threads(page: PageOptions = {}): Promise<ThreadPage> {
    return (await this.#ask('GET', '/api/v1/threads', page)) as ThreadPage;
  }

  /** A thread's events, oldest first. */
  async events(threadId: string, page: PageOptions = {}): Promise<EventPage> {
    return (await this.#ask('GET', `${threadPath(threadId)}/events`, page)) as EventPage;
  }

  /** Deletes a thread for good; runs that go on in it are cancelled. */
  async forget(threadId: string): Promise<void> {
    await this.#ask('DELETE', threadPath(threadId));
  }

  async #ask(method: string, path: string, page: PageOptions = {}): Promise<unknown> {
    const { gateway, token, fetch = (url, init) => globalThis.fetch(url, init) } = this.#options;
    const url = new URL(path, gateway);
    for (const [name, value] of Object.entries(page)) url.searchParams.set(name, String(value));
    const headers = { authorization: `Bearer ${await token()}` };
    let response: Response;
    try {
      response = await fetch(url.href, { method, headers, cache: 'no-store', credentials: 'omit' });
    } catch {
      throw new RefusedError(localRefusal('UNREACHABLE'));
    }
    if (response.status === 202 || response.status === 204) return undefined;
    const body: unknown = await response.json().catch(() => undefined);
    if (!response.ok || !isRecord(body)) throw new RefusedError(problemRefusal(body, 'http', response.status, response.headers));
    return body;
  }
}

/** Thread ids are what others made of them. A URL takes `.` and `..` for folders, however they are written: they would name something else. */
function threadPath(threadId: string): string {
  if (threadId === '.' || threadId === '..') throw new RefusedError(localRefusal('UNKNOWN', { title: 'No address can name this thread' }));
  return `/api/v1/threads/${encodeURIComponent(threadId)}`;
}
