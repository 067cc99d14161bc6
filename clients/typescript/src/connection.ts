/** One attempt: from the first byte of a handshake to the end of the connection that came of it. */

import { decode, encode } from './codec.js';
import type { Environment, WebSocketLike } from './environment.js';
import { closeRefusal, isRecord, localRefusal, problemRefusal } from './errors.js';
import type { Refusal } from './errors.js';
import type { ClientMessage, ConnectionEstablished, Mode, ServerMessage } from './events.gen.js';

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

/** Live only once the server has said `connection_established`: an open socket alone proves nothing. */
export class Connection {
  readonly #environment: Environment;
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  #socket: WebSocketLike | undefined;
  #timer: unknown;
  #live = false;
  /** The server's name for this connection, once it is live. */
  #id: string | undefined;
  #over = false;
  #heartbeatMs = 0;
  #heardAt = 0;

  constructor(environment: Environment, options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.#environment = environment;
    this.#options = options;
    this.#handlers = handlers;
  }

  open(): void {
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

  /** Sends if live, and says whether it did. */
  send(message: ClientMessage): boolean {
    if (!this.#live || this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(encode(message));
    return true;
  }

  /** Ends the connection from this side. */
  close(code: number, reason: string): void {
    this.#over = true;
    this.#detach(code, reason);
  }

  #read(data: unknown): void {
    if (this.#over) return;
    this.#heardAt = this.#environment.clock.now();
    const message = decode(data);
    if (message === undefined) return;
    if (message.type === 'connection_established') {
      if (this.#live) return;
      this.#live = true;
      this.#id = message.payload.connection_id;
      this.#heartbeatMs = message.payload.heartbeat_interval_ms;
      this.#watch();
      this.#handlers.established(message.payload, message.timestamp);
      return;
    }
    if (this.#live) this.#handlers.message(message);
  }

  /**
   * Notices a dead line. The server's pings are answered by the browser and never seen by scripts, so after an interval
   * of silence this side asks, and after another it gives up.
   */
  #watch(): void {
    const { clock } = this.#environment;
    clock.clearTimeout(this.#timer);
    if (!(this.#heartbeatMs > 0)) return;
    this.#timer = clock.setTimeout(() => {
      const silence = clock.now() - this.#heardAt;
      if (silence >= 2 * this.#heartbeatMs) {
        void this.#lost(1006, '');
        return;
      }
      if (silence >= this.#heartbeatMs) this.send({ type: 'ping', payload: {} });
      this.#watch();
    }, this.#heartbeatMs);
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
    const socket = this.#socket;
    if (socket === undefined) return;
    socket.onmessage = null;
    socket.onclose = null;
    if (socket.readyState <= OPEN) socket.close(code, reason);
  }
}

/** `WebSocket.OPEN`; injected sockets need not carry the constant. */
const OPEN = 1;
