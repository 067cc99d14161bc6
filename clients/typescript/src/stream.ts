/**
 * One attempt where WebSockets are blocked: events come as Server-Sent Events over `fetch`, which unlike `EventSource` can
 * bear the token in a header, and messages go by POST, one after the other.
 */

import type { ConnectionHandlers, Transport } from './connection.js';
import { decode, encode } from './codec.js';
import type { Environment } from './environment.js';
import { closeRefusal, isRecord, localRefusal, problemRefusal } from './errors.js';
import type { Refusal } from './errors.js';
import type { ClientMessage, ResumePoint } from './events.gen.js';
import { Heartbeat } from './heartbeat.js';

export interface StreamOptions {
  readonly gateway: string;
  readonly mode: string;
  readonly token: string;
  readonly connectTimeoutMs: number;
}

export class Stream implements Transport {
  readonly #environment: Environment;
  readonly #options: StreamOptions;
  readonly #handlers: ConnectionHandlers;
  readonly #heartbeat: Heartbeat;
  readonly #abort = new AbortController();
  /** The messages before this one: they arrive in the order in which they were sent. */
  #sent: Promise<void> = Promise.resolve();
  #timer: unknown;
  #live = false;
  #over = false;

  constructor(environment: Environment, options: StreamOptions, handlers: ConnectionHandlers) {
    this.#environment = environment;
    this.#options = options;
    this.#handlers = handlers;
    this.#heartbeat = new Heartbeat(environment.clock);
  }

  open(resume: readonly ResumePoint[]): void {
    const url = this.#url('/sse');
    for (const { thread_id: thread, epoch = '', after_seq: seq } of resume) url.searchParams.append('resume', `${thread}:${epoch}:${seq}`);
    this.#timer = this.#environment.clock.setTimeout(() => this.#finish(localRefusal('UNREACHABLE')), this.#options.connectTimeoutMs);
    void this.#listen(url.href);
  }

  send(message: ClientMessage): boolean {
    if (!this.#live || this.#over) return false;
    if (message.type === 'resume') {
      // A stream goes on from the places in its address: what is missing comes with the next one.
      this.#finish(localRefusal('CONNECTION_LOST'));
      return false;
    }
    // A fresh token comes with the next stream; the server ends this one in time.
    if (message.type === 'reauthenticate') return false;
    this.#sent = this.#sent.then(() => this.#post(message));
    return true;
  }

  close(): void {
    this.#over = true;
    this.#detach();
  }

  #url(path: string): URL {
    const url = new URL(path, this.#options.gateway);
    if (this.#options.mode !== 'main') url.searchParams.set('mode', this.#options.mode);
    return url;
  }

  #request(extra: RequestInit = {}): RequestInit {
    const headers = { authorization: `Bearer ${this.#options.token}`, ...(extra.body === undefined ? {} : { 'content-type': 'application/json' }) };
    return { ...extra, headers, cache: 'no-store', credentials: 'omit', signal: this.#abort.signal };
  }

  async #listen(url: string): Promise<void> {
    try {
      const response = await this.#environment.fetch(url, this.#request());
      if (!response.ok || response.body === null) {
        this.#finish(problemRefusal(await response.json().catch(() => undefined), 'http', response.status, response.headers));
        return;
      }
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.#over) break;
        this.#heartbeat.heard();
        const blocks = (text + value).split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) this.#read(block);
      }
      this.#finish(localRefusal('CONNECTION_LOST', { closeCode: 1006 }));
    } catch {
      this.#finish(localRefusal(this.#live ? 'CONNECTION_LOST' : 'UNREACHABLE'));
    }
  }

  /** Acts on one event of the stream. */
  #read(block: string): void {
    if (this.#over) return;
    const lines = block.split('\n');
    const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    const data = field('data');
    if (data === undefined) return;
    if (field('event') === 'close') {
      const told: unknown = JSON.parse(data);
      if (isRecord(told)) this.#finish(closeRefusal(Number(told['code']), String(told['reason'])));
      return;
    }
    const message = decode(data);
    if (message === undefined) return;
    if (message.type !== 'connection_established') {
      if (this.#live) this.#handlers.message(message);
      return;
    }
    this.#live = true;
    this.#environment.clock.clearTimeout(this.#timer);
    // The server gives a sign of life in each interval by itself.
    this.#heartbeat.watch(message.payload.heartbeat_interval_ms, () => undefined, () => this.#finish(localRefusal('CONNECTION_LOST')));
    this.#handlers.established(message.payload, message.timestamp);
  }

  async #post(message: ClientMessage): Promise<void> {
    if (this.#over) return;
    try {
      const response = await this.#environment.fetch(this.#url('/messages').href, this.#request({ method: 'POST', body: encode(message) }));
      if (response.status === 202 || this.#over) return;
      const text = await response.text();
      const answer = decode(text);
      if (answer !== undefined) this.#handlers.message(answer);
      else this.#finish(problemRefusal(JSON.parse(text), 'http', response.status, response.headers));
    } catch {
      // Whether it arrived is not known: the next connection asks again, under the same id.
      this.#finish(localRefusal('CONNECTION_LOST'));
    }
  }

  #finish(refusal: Refusal): void {
    if (this.#over) return;
    this.#over = true;
    this.#detach();
    this.#handlers.ended(refusal);
  }

  #detach(): void {
    this.#live = false;
    this.#environment.clock.clearTimeout(this.#timer);
    this.#heartbeat.stop();
    this.#abort.abort();
  }
}
