/** One attempt: from the first byte of a handshake to the end of the connection that came of it. */

import { decode, encode } from './codec.js';
import type { Environment, WebSocketLike } from './environment.js';
import { closeRefusal, isRecord, localRefusal, problemRefusal } from './errors.js';
import type { Refusal } from './errors.js';
import type { ClientMessage, ConnectionEstablished, Mode, ResumePoint, ServerMessage } from './events.gen.js';
import { Heartbeat } from './heartbeat.js';

export interface ConnectionOptions {
  readonly socketUrl: string;
  readonly preflightUrl: string;
  readonly mode: Mode;
  /** What is offered in `Sec-WebSocket-Protocol`, the token among it. */
  readonly protocols: string[];
  /** The build of the page. */
  readonly build: string | undefined;
  readonly connectTimeoutMs: number;
}

/** Called in this order: `established` at most once, then `message` any number of times, then `ended` once. */
export interface ConnectionHandlers {
  established(hello: ConnectionEstablished, timestamp: string): void;
  message(message: ServerMessage): void;
  /** The connection is over, or never was. Not called after {@link Connection.close}. */
  ended(refusal: Refusal): void;
}

/** What carries messages both ways, for one attempt. */
export interface Transport {
  /** Begins; what is missed behind `resume` is asked for before anything is said. */
  open(resume: readonly ResumePoint[]): void;
  /** Sends if live, and says whether it did. */
  send(message: ClientMessage): boolean;
  /** Ends it from this side; nothing is heard any more. */
  close(code: number, reason: string): void;
}

/** Live only once the server has said `connection_established`: an open socket alone proves nothing. */
export class Connection implements Transport {
  readonly #environment: Environment;
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  #socket: WebSocketLike | undefined;
  #timer: unknown;
  #live = false;
  /** The server's name for this connection, once it is live. */
  #id: string | undefined;
  #over = false;
  readonly #heartbeat: Heartbeat;
  #resume: readonly ResumePoint[] = [];

  constructor(environment: Environment, options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.#environment = environment;
    this.#options = options;
    this.#handlers = handlers;
    this.#heartbeat = new Heartbeat(environment.clock);
  }

  open(resume: readonly ResumePoint[]): void {
    this.#resume = resume;
    const { clock, WebSocket } = this.#environment;
    let socket: WebSocketLike;
    try {
      socket = new WebSocket(this.#options.socketUrl, this.#options.protocols);
    } catch (error) {
      // A name outside RFC 6455's token characters, or an address that is none. Never repeat `protocols`: it has the token.
      this.#finish(localRefusal('UNREACHABLE', { detail: error instanceof Error ? error.name : 'bad address', retry: 'never' }));
      return;
    }
    this.#socket = socket;
    this.#timer = clock.setTimeout(() => void this.#lost(1006, ''), this.#options.connectTimeoutMs);
    socket.onmessage = (event: { data: unknown }) => this.#read(event.data);
    socket.onclose = (event: { code: number; reason: string }) => void this.#lost(event.code, event.reason);
    // `error` says nothing that the `close` after it does not; a handler keeps Node from throwing.
    socket.onerror = () => undefined;
  }

  send(message: ClientMessage): boolean {
    if (!this.#live || this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(encode(message));
    return true;
  }

  close(code: number, reason: string): void {
    this.#over = true;
    this.#detach(code, reason);
  }

  #read(data: unknown): void {
    if (this.#over) return;
    this.#heartbeat.heard();
    const message = decode(data);
    if (message === undefined) return;
    if (message.type === 'connection_established') {
      if (this.#live) return;
      this.#live = true;
      this.#id = message.payload.connection_id;
      this.#environment.clock.clearTimeout(this.#timer);
      const ask = () => void this.send({ type: 'ping', payload: {} });
      this.#heartbeat.watch(message.payload.heartbeat_interval_ms, ask, () => void this.#lost(1006, ''));
      if (this.#resume.length > 0 && message.payload.mode !== 'isolated') this.send({ type: 'resume', payload: { threads: [...this.#resume] } });
      this.#handlers.established(message.payload, message.timestamp);
      return;
    }
    if (this.#live) this.#handlers.message(message);
  }

  async #lost(code: number, reason: string): Promise<void> {
    if (this.#over) return;
    const refusal = closeRefusal(code, reason);
    const hidden = !this.#live && refusal.reason === 'CONNECTION_LOST';
    if (!hidden) {
      this.#finish(this.#id === undefined ? refusal : { ...refusal, connectionId: this.#id });
      return;
    }
    // The browser hides why a handshake failed. The preflight runs the same checks and tells.
    this.#detach();
    const learned = await this.#preflight();
    if (!this.#over) this.#finish({ ...learned, closeCode: code });
  }

  async #preflight(): Promise<Refusal> {
    const { build, mode, preflightUrl, protocols, connectTimeoutMs } = this.#options;
    const { clock, fetch } = this.#environment;
    const abort = new AbortController();
    const timer = clock.setTimeout(() => abort.abort(), connectTimeoutMs);
    try {
      const response = await fetch(preflightUrl, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ mode, protocols, build }),
        cache: 'no-store',
        credentials: 'omit',
        signal: abort.signal,
      });
      const body: unknown = await response.json().catch(() => undefined);
      if (isRecord(body) && body['accepted'] === true) return localRefusal('UPGRADE_BLOCKED');
      return problemRefusal(body, 'preflight', response.status, response.headers);
    } catch {
      return localRefusal('UNREACHABLE');
    } finally {
      clock.clearTimeout(timer);
    }
  }

  #finish(refusal: Refusal): void {
    if (this.#over) return;
    this.#over = true;
    this.#detach();
    this.#handlers.ended(refusal);
  }

  /** Hears no more of the socket, and lets it go. */
  #detach(code?: number, reason?: string): void {
    this.#live = false;
    this.#environment.clock.clearTimeout(this.#timer);
    this.#heartbeat.stop();
    const socket = this.#socket;
    if (socket === undefined) return;
    socket.onmessage = null;
    socket.onclose = null;
    if (socket.readyState <= OPEN) socket.close(code, reason);
  }
}

/** `WebSocket.OPEN`; injected sockets need not carry the constant. */
const OPEN = 1;
