/** An in-process gateway, clock and network: everything that the client sees, moved by hand. */

import { REASONS } from '../src/index.js';
import type { Clock, Environment, Reason, WebSocketLike } from '../src/index.js';

/** Time moves only by `advance`. */
export class FakeClock implements Clock {
  #now = Date.parse('2026-01-01T00:00:00Z');
  readonly #timers = new Map<number, { at: number; callback: () => void }>();
  #next = 1;

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, ms: number): number {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + ms, callback });
    return id;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as number);
  }

  /** Moves on by `ms`, running what falls due in its order. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].callback();
    }
    this.#now = end;
    await settle();
  }

  /** How many timers wait: none may be left behind when a client is done. */
  get pending(): number {
    return this.#timers.size;
  }
}

/** Lets promises that are due run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 80; turn += 1) await Promise.resolve();
  // Streams of bytes take turns of their own.
  for (let turn = 0; turn < 8; turn += 1) await new Promise((done) => setImmediate(done));
}

/** What the gateway does with the next handshakes. */
export type Treatment =
  | { readonly kind: 'accept' }
  /** A real HTTP refusal: the browser shows 1006, and the preflight tells. */
  | { readonly kind: 'refuse'; readonly reason: Reason; readonly retryAfter?: number }
  /** `handshake.rejection = "close"`: upgraded only to be closed. */
  | { readonly kind: 'close'; readonly code: number; readonly text: string }
  /** Something between swallows the upgrade; plain HTTP passes. */
  | { readonly kind: 'blocked' }
  /** Neither answers. */
  | { readonly kind: 'unreachable' }
  /** The handshake never ends. */
  | { readonly kind: 'hang' };

export class FakeGateway {
  readonly clock = new FakeClock();
  /** What handshakes meet, one after the other; the last one stays. */
  treatments: Treatment[] = [{ kind: 'accept' }];
  /** Every handshake's socket. */
  readonly sockets: FakeSocket[] = [];
  /** Every stream of events. */
  readonly streams: FakeStream[] = [];
  /** Every message that came by POST. */
  readonly posts: { readonly url: string; readonly authorization: string; readonly message: { readonly id?: string } }[] = [];
  /** So many of the next messages by POST are lost. */
  postFails = 0;
  streamsFail = false;
  /** The bodies of the preflights. */
  readonly preflights: { mode: string; protocols: string[] }[] = [];
  random = 0.5;
  /** Answers no ping any more. */
  deaf = false;
  mode = 'main';
  tokenLifeMs = 3_600_000;
  #current: Treatment = { kind: 'accept' };

  environment(): Environment {
    const gateway = this;
    return {
      WebSocket: class extends FakeSocket {
        constructor(url: string, protocols: string[]) {
          super(gateway, url, protocols);
        }
      },
      fetch: (url, init) => this.#fetch(url, init),
      clock: this.clock,
      random: () => this.random,
    };
  }

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error('nobody connected');
    return socket;
  }

  connect(socket: FakeSocket): void {
    this.sockets.push(socket);
    const [now, ...later] = this.treatments;
    this.#current = now ?? { kind: 'accept' };
    if (later.length > 0) this.treatments = later;
    queueMicrotask(() => this.#treat(socket));
  }

  #treat(socket: FakeSocket): void {
    switch (this.#current.kind) {
      case 'accept':
        socket.readyState = 1;
        socket.say('connection_established', {
          connection_id: `conn_${this.sockets.length}`,
          user_id: 'ada',
          mode: this.mode,
          protocol: 'portcullis.v1',
          heartbeat_interval_ms: 20_000,
          max_message_bytes: 65_536,
          token_expires_at: new Date(this.clock.now() + this.tokenLifeMs).toISOString(),
          node: 'fake',
        });
        return;
      case 'close':
        socket.readyState = 1;
        socket.end(this.#current.code, this.#current.text);
        return;
      case 'hang':
        return;
      case 'refuse':
      case 'blocked':
      case 'unreachable':
        socket.end(1006, '');
    }
  }

  get stream(): FakeStream {
    const stream = this.streams.at(-1);
    if (stream === undefined) throw new Error('nobody listens');
    return stream;
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    switch (new URL(url).pathname) {
      case '/sse': {
        if (this.streamsFail) throw new TypeError('fetch failed');
        const stream = new FakeStream(this, url, init.signal ?? undefined);
        this.streams.push(stream);
        stream.hello(this.streams.length);
        return new Response(stream.body, { headers: { 'content-type': 'text/event-stream' } });
      }
      case '/messages': {
        if (this.postFails > 0) {
          this.postFails -= 1;
          throw new TypeError('fetch failed');
        }
        const message = JSON.parse(String(init.body)) as { type: string; id: string; thread_id: string };
        this.posts.push({ url, authorization: new Headers(init.headers).get('authorization') ?? '', message });
        const payload = { message_id: message.id, run_id: 'r1', thread_id: message.thread_id, duplicate: false };
        return Response.json({ type: 'message_accepted', id: 'evt', timestamp: '', payload });
      }
      default:
        return this.#preflight(init);
    }
  }

  async #preflight(init: RequestInit): Promise<Response> {
    this.preflights.push(JSON.parse(String(init.body)) as { mode: string; protocols: string[] });
    const treatment = this.#current;
    if (treatment.kind === 'unreachable') throw new TypeError('fetch failed');
    if (treatment.kind !== 'refuse') return Response.json({ accepted: true, protocol: 'portcullis.v1' });
    const { title, remedy, retry, status } = REASONS[treatment.reason];
    const problem = { status, title, reason: treatment.reason, retry, remedy, request_id: 'req_1' };
    const headers = treatment.retryAfter === undefined ? {} : { 'retry-after': String(treatment.retryAfter) };
    return Response.json({ accepted: false, ...problem }, { headers });
  }

}

/** A stream of Server-Sent Events, as the gateway writes it. */
export class FakeStream {
  readonly url: string;
  readonly body: ReadableStream<Uint8Array>;
  /** Into how many pieces the line breaks what is written next. */
  pieces = 1;
  readonly #gateway: FakeGateway;
  readonly #signal: AbortSignal | undefined;
  #controller!: ReadableStreamDefaultController<Uint8Array>;

  constructor(gateway: FakeGateway, url: string, signal: AbortSignal | undefined) {
    this.#gateway = gateway;
    this.#signal = signal;
    this.url = url;
    this.body = new ReadableStream({ start: (controller) => void (this.#controller = controller) });
    signal?.addEventListener('abort', () => this.#controller.error(new DOMException('aborted', 'AbortError')));
  }

  get aborted(): boolean {
    return this.#signal?.aborted ?? false;
  }

  hello(number: number): void {
    this.say('connection_established', {
      connection_id: `stream_${number}`,
      user_id: 'ada',
      mode: 'main',
      protocol: null,
      heartbeat_interval_ms: 20_000,
      max_message_bytes: 65_536,
      token_expires_at: null,
      node: 'fake',
    });
  }

  say(type: string, payload: unknown, more: object = {}): void {
    const message = { type, id: 'evt', timestamp: new Date(this.#gateway.clock.now()).toISOString(), ...more, payload };
    this.raw(`id: cursor\ndata: ${JSON.stringify(message)}\n\n`);
  }

  event(seq: number, { payload = { delta: `${seq}` } as unknown } = {}): void {
    this.say('partial_result', payload, { epoch: 'e1', seq, thread_id: 't1', run_id: 'r1' });
  }

  raw(text: string): void {
    const bytes = new TextEncoder().encode(text);
    const size = Math.ceil(bytes.length / this.pieces);
    for (let at = 0; at < bytes.length; at += size) this.#controller.enqueue(bytes.slice(at, at + size));
  }

  end(): void {
    this.#controller.close();
  }
}

export class FakeSocket implements WebSocketLike {
  readyState = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  readonly sent: { type: string; id?: string; thread_id?: string; payload: Record<string, unknown> }[] = [];
  readonly url: string;
  readonly protocols: string[];
  closedWith: number | undefined;
  readonly #gateway: FakeGateway;

  constructor(gateway: FakeGateway, url: string, protocols: string[]) {
    this.#gateway = gateway;
    this.url = url;
    this.protocols = protocols;
    gateway.connect(this);
  }

  send(data: string): void {
    const message = JSON.parse(data) as FakeSocket['sent'][number];
    this.sent.push(message);
    if (message.type === 'ping' && !this.#gateway.deaf) queueMicrotask(() => this.say('pong', { echo: message.payload }));
  }

  close(code?: number): void {
    this.readyState = 3;
    this.closedWith = code ?? 1005;
  }

  /** The gateway says something. */
  say(type: string, payload: unknown, more: object = {}): void {
    this.raw(JSON.stringify({ type, id: 'evt', timestamp: new Date(this.#gateway.clock.now()).toISOString(), ...more, payload }));
  }

  /** The gateway sends these very characters. */
  raw(data: unknown): void {
    this.onmessage?.({ data } as never);
  }

  /** An event of a thread, at a position. */
  event(seq: number, { type = 'partial_result', epoch = 'e1', thread = 't1', payload = { delta: `${seq}` } as unknown } = {}): void {
    this.say(type, payload, { epoch, seq, thread_id: thread, run_id: 'r1' });
  }

  /** The connection ends, as the browser reports it. */
  end(code: number, reason: string): void {
    this.readyState = 3;
    this.onclose?.({ code, reason } as never);
  }

  sentOf(type: string) {
    return this.sent.filter((message) => message.type === type);
  }
}
