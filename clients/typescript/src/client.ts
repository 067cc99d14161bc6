/**
 * The client: one state machine over any number of connections.
 *
 * ```text
 * idle ──connect──▶ connecting ──established──▶ live
 *                    ▲   │  │                    │
 *                    │   │  └──fatal──▶ closed ◀─┤ fatal, or close()
 *                    │   ▼                       │
 *                    └─ waiting ◀──────lost──────┘
 * ```
 *
 * A question is kept until the server has answered for it, and sent again after a reconnect under the same id, so it runs
 * once. Events of a thread that were seen before are dropped by position; what was missed is asked for with `resume`.
 */

import { backoffDelay, DEFAULT_BACKOFF } from './backoff.js';
import type { BackoffOptions } from './backoff.js';
import { offer } from './codec.js';
import { Connection } from './connection.js';
import type { ConnectionHandlers, Transport } from './connection.js';
import { browserEnvironment, freshId } from './environment.js';
import type { Environment } from './environment.js';
import { catalogueRefusal, localRefusal, noticeRefusal, RefusedError } from './errors.js';
import type { Refusal } from './errors.js';
import type {
  ClientMessage,
  ConnectionEstablished,
  Decision,
  Draining,
  ErrorNotice,
  ResumePoint,
  ServerMessage,
} from './events.gen.js';
import { Outbox } from './outbox.js';
import { Positions } from './positions.js';
import { Stream } from './stream.js';

export type ConnectionState =
  | { readonly status: 'idle' }
  | { readonly status: 'connecting'; readonly attempt: number }
  | { readonly status: 'live'; readonly hello: ConnectionEstablished; readonly transport: TransportName }
  /** Lost or refused for now; the next attempt starts at `retryAt` (by the injected clock). */
  | { readonly status: 'waiting'; readonly attempt: number; readonly retryAt: number; readonly refusal: Refusal }
  /** Over until `connect` is called again: by `close()` (no refusal), or because trying again would not help. */
  | { readonly status: 'closed'; readonly refusal?: Refusal };

/** A WebSocket, or events by Server-Sent Events and messages by POST where WebSockets are blocked. */
export type TransportName = 'websocket' | 'sse';

/** Why a token is wanted. */
export type TokenRequest =
  | { readonly purpose: 'connect' }
  /** The last token was refused: a fresh one is needed, or none. */
  | { readonly purpose: 'replace'; readonly refusal: Refusal }
  /** The connection is live and its token runs out. */
  | { readonly purpose: 'reauthenticate' };

export interface ClientOptions {
  /** Where the gateway is: `https://host[:port]`. */
  readonly gateway: string;
  /** Asked on every attempt. To refuse, throw: a {@link RefusedError} is passed on, anything else is TOKEN_UNAVAILABLE. */
  readonly token: (request: TokenRequest) => string | Promise<string>;
  /** The gateway's mode, default `main`. */
  readonly mode?: 'main' | 'factory' | 'isolated';
  /** Overrides the mode's usual path. */
  readonly path?: string;
  /** Plain subprotocol names to offer beside the token. Default `portcullis.v1`, `jwt-auth`. */
  readonly subprotocols?: readonly string[];
  /**
   * The build of the page that uses this client, as `/ws/config` of its server names it. The gateway then says so when a
   * page of another build is refused, and counts such pages.
   */
  readonly build?: string;
  /**
   * What may carry messages, default both: where the gateway accepts a connection and the WebSocket does not open, the
   * other one is taken, and a WebSocket is tried again from time to time. `isolated` needs a WebSocket.
   */
  readonly transports?: readonly TransportName[];
  readonly backoff?: Partial<BackoffOptions>;
  /** Default 10 s. */
  readonly connectTimeoutMs?: number;
  /** How long before its end a token is replaced in a live connection. Default 30 s, at most half of its life. */
  readonly reauthenticateBeforeMs?: number;
  readonly environment?: Partial<Environment>;
}

/** What listeners hear. */
export interface ClientEvents {
  state: ConnectionState;
  /** Every server message but repeats, `connection_established` and `pong`. */
  message: ServerMessage;
  /** A question that waited will not be asked: the server that came takes no message of its length. */
  refused: { readonly messageId: string; readonly threadId: string; readonly refusal: Refusal };
  /** Events of a thread are missing between what was seen and what came, and cannot be had. */
  gap: { readonly threadId: string; readonly expected: number; readonly got: number };
}

export interface AskOptions {
  readonly threadId?: string;
  readonly agent?: string;
  readonly context?: unknown;
  /** Makes the question idempotent across pages and restarts; by default a fresh one. */
  readonly id?: string;
}

type Listener<K extends keyof ClientEvents> = (value: ClientEvents[K]) => void;

export class Client {
  readonly #environment: Environment;
  readonly #options: ClientOptions;
  readonly #backoff: BackoffOptions;
  readonly #listeners: { [K in keyof ClientEvents]: Set<Listener<K>> } = {
    state: new Set(),
    message: new Set(),
    refused: new Set(),
    gap: new Set(),
  };
  readonly #positions = new Positions();
  /** Questions that the server has not answered for yet. */
  readonly #outbox = new Outbox();
  /** The longest message that the server took when it was last heard of. */
  #maxMessageBytes = Number.POSITIVE_INFINITY;
  /** Whether the connection's server retains events. */
  #resumable = true;
  #state: ConnectionState = { status: 'idle' };
  #connection: Transport | undefined;
  /** Until then WebSockets are known to be blocked. */
  #blockedUntil = Number.NEGATIVE_INFINITY;
  /** Failures since the last live connection. */
  #failures = 0;
  /** The token was replaced once since the last live connection; a second refusal is final. */
  #replaced = false;
  /** Said by a server that goes away: it spreads its clients, so its word stands instead of our own jitter. */
  #draining: Readonly<Draining> | undefined;
  #retryTimer: unknown;
  #tokenTimer: unknown;
  #pauseTimer: unknown;
  /** Every start or stop gets a number, so that answers to questions of an earlier one are recognised. */
  #generation = 0;

  constructor(options: ClientOptions) {
    this.#environment = { ...browserEnvironment(), ...options.environment };
    this.#options = options;
    this.#backoff = { ...DEFAULT_BACKOFF, ...options.backoff };
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Listens; the returned function ends it. */
  on<K extends keyof ClientEvents>(name: K, listener: Listener<K>): () => void {
    this.#listeners[name].add(listener);
    return () => void this.#listeners[name].delete(listener);
  }

  /** Starts, or tries at once instead of waiting. Does nothing while connecting or live. */
  connect(): void {
    if (this.#state.status === 'connecting' || this.#state.status === 'live') return;
    if (this.#state.status !== 'waiting') {
      this.#failures = 0;
      this.#replaced = false;
    }
    void this.#attempt({ purpose: 'connect' });
  }

  /** Ends the connection. Runs go on without their reader (except in `isolated`). */
  close(): void {
    this.#stop();
    this.#connection?.close(1000, '');
    this.#connection = undefined;
    this.#become({ status: 'closed' });
  }

  /**
   * Asks; the answer arrives as events of the returned thread. Waits for a connection if there is none.
   *
   * @throws {RefusedError} MESSAGE_TOO_BIG for a question that the server does not take for its length, OUTBOX_FULL where
   * too many wait already. Nothing was asked then.
   */
  ask(content: string, options: AskOptions = {}): { readonly messageId: string; readonly threadId: string } {
    const messageId = options.id ?? freshId('msg');
    const threadId = options.threadId ?? freshId('thr');
    const message: ClientMessage = {
      type: 'user_message',
      id: messageId,
      thread_id: threadId,
      payload: {
        content,
        ...(options.agent === undefined ? {} : { agent: options.agent }),
        ...(options.context === undefined ? {} : { context: options.context }),
      },
    };
    if (Outbox.size(message) > this.#maxMessageBytes) throw new RefusedError(catalogueRefusal('MESSAGE_TOO_BIG', 'local'));
    if (!this.#outbox.add(messageId, message)) throw new RefusedError(localRefusal('OUTBOX_FULL'));
    this.#pump();
    return { messageId, threadId };
  }

  /**
   * Hears a thread from its beginning, as far as it is kept, and what happens in it from then on: one of the user's that
   * this client has heard nothing of yet. Other threads are left as they are.
   */
  follow(threadId: string): void {
    this.#ask(this.#positions.follow(threadId));
  }

  /** Forgets where it stands in a thread that is gone. */
  unfollow(threadId: string): void {
    this.#positions.forget(threadId);
  }

  /** Stops a run, from any of its owner's devices. False if not live. */
  cancel(runId: string): boolean {
    return this.#send({ type: 'cancel_run', payload: { run_id: runId } });
  }

  /**
   * Says something to a run that is going on, from any of its owner's devices. It comes back as a `user_message` of the run
   * once its agent has heard it. False if not live.
   */
  steer(runId: string, content: string): boolean {
    return this.#send({ type: 'steer', id: freshId('msg'), payload: { run_id: runId, content } });
  }

  /** Answers an `approval_requested`. False if not live. */
  approve(approvalId: string, decision: Decision, comment?: string): boolean {
    const payload = { approval_id: approvalId, decision, ...(comment === undefined ? {} : { comment }) };
    return this.#send({ type: 'approve', payload });
  }

  /** Hands a fresh token of the same user to the live connection. False if not live. */
  reauthenticate(token: string): boolean {
    return this.#send({ type: 'reauthenticate', payload: { token } });
  }

  #send(message: ClientMessage): boolean {
    return this.#connection?.send(message) ?? false;
  }

  async #attempt(request: TokenRequest): Promise<void> {
    this.#stop();
    const generation = this.#generation;
    this.#become({ status: 'connecting', attempt: this.#failures + 1 });
    let token: string;
    try {
      token = await this.#options.token(request);
    } catch (error) {
      if (generation !== this.#generation) return;
      this.#tokenFailed(request, error);
      return;
    }
    if (generation !== this.#generation) return;
    const transport = this.#transport();
    this.#connection = this.#carrier(transport, token, {
      established: (hello, timestamp) => this.#established(hello, timestamp, transport),
      message: (message) => this.#read(message),
      ended: (refusal) => this.#ended(refusal, transport),
    });
    this.#connection.open(this.#positions.resume());
  }

  /** What the next attempt is made with. */
  #transport(): TransportName {
    const { transports = ['websocket', 'sse'] } = this.#options;
    const blocked = this.#environment.clock.now() < this.#blockedUntil;
    return transports.includes('sse') && (blocked || !transports.includes('websocket')) ? 'sse' : 'websocket';
  }

  #carrier(transport: TransportName, token: string, handlers: ConnectionHandlers): Transport {
    const { build, gateway, mode = 'main', path, subprotocols = DEFAULT_SUBPROTOCOLS, connectTimeoutMs = 10_000 } = this.#options;
    if (transport === 'sse') return new Stream(this.#environment, { gateway, mode, token, connectTimeoutMs }, handlers);
    const socketUrl = new URL(path ?? MODE_PATHS[mode], gateway);
    socketUrl.protocol = socketUrl.protocol === 'https:' || socketUrl.protocol === 'wss:' ? 'wss:' : 'ws:';
    if (build !== undefined) socketUrl.searchParams.set('build', build);
    const preflightUrl = new URL('/ws/preflight', gateway);
    preflightUrl.protocol = socketUrl.protocol === 'wss:' ? 'https:' : 'http:';
    const protocols = offer(token, subprotocols);
    const options = { socketUrl: socketUrl.href, preflightUrl: preflightUrl.href, mode, protocols, build, connectTimeoutMs };
    return new Connection(this.#environment, options, handlers);
  }

  #established(hello: ConnectionEstablished, timestamp: string, transport: TransportName): void {
    this.#failures = 0;
    this.#replaced = false;
    this.#become({ status: 'live', hello, transport });
    // Measured on the server's clock alone: this side's may be wrong.
    this.#planReauthentication(Date.parse(hello.token_expires_at ?? '') - Date.parse(timestamp));
    this.#resumable = hello.mode !== 'isolated';
    this.#maxMessageBytes = hello.max_message_bytes;
    for (const { id = '', thread_id: threadId = '' } of this.#outbox.takeLonger(hello.max_message_bytes)) {
      this.#emit('refused', { messageId: id, threadId, refusal: catalogueRefusal('MESSAGE_TOO_BIG', 'local') });
    }
    this.#outbox.retry();
    this.#pump();
  }

  /** Sends the questions that may go out. A server that goes away takes none: they wait for the next one. */
  #pump(): void {
    if (this.#state.status !== 'live' || this.#draining !== undefined) return;
    this.#outbox.pump((message) => this.#send(message));
  }

  #read(message: ServerMessage): void {
    switch (message.type) {
      case 'pong':
        return;
      case 'message_accepted':
        this.#outbox.remove(message.payload.message_id);
        this.#pump();
        break;
      case 'error':
        if (this.#postponed(message.payload)) return;
        // A question that the server turned down must not be asked again by itself.
        if (message.payload.message_id !== undefined) this.#outbox.remove(message.payload.message_id);
        this.#pump();
        break;
      case 'resumed':
        for (const thread of message.payload.threads) this.#positions.resumed(thread.thread_id);
        break;
      case 'token_expiring':
        this.#planReauthentication(message.payload.seconds_left * 1000);
        break;
      case 'resume_gap':
        this.#ask(this.#positions.lost(message.payload));
        break;
      case 'draining':
        this.#draining = message.payload;
        break;
      default: {
        const seen = this.#positions.observe(message, this.#resumable);
        if (seen.kind === 'ahead') this.#ask(seen.ask);
        if (seen.kind === 'ahead' || seen.kind === 'repeat') return;
        if (seen.kind === 'gap') this.#emit('gap', seen);
      }
    }
    this.#emit('message', message);
  }

  #ask(point: ResumePoint | undefined): void {
    if (point !== undefined) this.#send({ type: 'resume', payload: { threads: [point] } });
  }

  /** Whether a question was turned down only for now: it stays, and the server or the next one is asked again. */
  #postponed(notice: Readonly<ErrorNotice>): boolean {
    if (notice.reason === 'RATE_LIMITED' && notice.message_id === undefined) {
      // Some of what was sent was not read; which of it, only the server's answers tell.
      const { clock } = this.#environment;
      clock.clearTimeout(this.#pauseTimer);
      this.#pauseTimer = clock.setTimeout(() => {
        this.#outbox.retry();
        this.#pump();
      }, RATE_PAUSE_MS);
      return true;
    }
    if (notice.message_id === undefined) return false;
    // This one closes the connection when it goes; until then what goes on here is heard to its end.
    if (notice.reason === 'DRAINING') return true;
    if (notice.reason !== 'NOT_READY') return false;
    this.#connection?.close(1000, '');
    this.#ended(noticeRefusal(notice), 'websocket');
    return true;
  }

  /** Replaces the token shortly before its end, `left` milliseconds from now; NaN for a token without one. */
  #planReauthentication(left: number): void {
    const { clock } = this.#environment;
    clock.clearTimeout(this.#tokenTimer);
    if (Number.isNaN(left)) return;
    const before = Math.min(this.#options.reauthenticateBeforeMs ?? 30_000, left / 2);
    const delay = Math.min(Math.max(left - before, 0), MAX_TIMER_MS);
    this.#tokenTimer = clock.setTimeout(() => void this.#reauthenticate(), delay);
  }

  /** A failure here is not fatal: the connection lives until its token ends, and then says so itself. */
  async #reauthenticate(): Promise<void> {
    this.#environment.clock.clearTimeout(this.#tokenTimer);
    const generation = this.#generation;
    try {
      const token = await this.#options.token({ purpose: 'reauthenticate' });
      if (generation === this.#generation) this.reauthenticate(token);
    } catch {
      return;
    }
  }

  #ended(refusal: Refusal, transport: TransportName): void {
    const draining = this.#draining;
    this.#draining = undefined;
    this.#connection = undefined;
    this.#stop();
    this.#failures += 1;
    const { mode, transports } = this.#options;
    if (refusal.reason === 'UPGRADE_BLOCKED' && transport === 'websocket' && mode !== 'isolated' && transports?.includes('sse') !== false) {
      this.#blockedUntil = this.#environment.clock.now() + BLOCKED_MS;
      void this.#attempt({ purpose: 'connect' });
      return;
    }
    // A stream that cannot be had is no better: the next attempt is a WebSocket's again.
    if (transport === 'sse' && refusal.source === 'local' && refusal.reason === 'UNREACHABLE') this.#blockedUntil = Number.NEGATIVE_INFINITY;
    if (draining !== undefined && refusal.retry !== 'never') {
      this.#wait(refusal, draining.reconnect_after_ms);
      return;
    }
    switch (refusal.retry) {
      case 'never':
        this.#become({ status: 'closed', refusal });
        return;
      case 'after_change':
        // The one thing that can be changed here is the token, once.
        if (this.#replaced || !isAboutToken(refusal)) {
          this.#become({ status: 'closed', refusal });
          return;
        }
        this.#replaced = true;
        void this.#attempt({ purpose: 'replace', refusal });
        return;
      case 'now':
        this.#wait(refusal, this.#failures === 1 ? 0 : undefined);
        return;
      case 'backoff':
        this.#wait(refusal);
        return;
      default:
        refusal.retry satisfies never;
    }
  }

  #tokenFailed(request: TokenRequest, error: unknown): void {
    if (request.purpose === 'replace') {
      // No better token is to be had, so what the server said of the last one stands.
      this.#become({ status: 'closed', refusal: request.refusal });
      return;
    }
    const refusal = error instanceof RefusedError ? error.refusal : localRefusal('TOKEN_UNAVAILABLE');
    this.#failures += 1;
    if (refusal.retry === 'backoff' || refusal.retry === 'now') this.#wait(refusal);
    else this.#become({ status: 'closed', refusal });
  }

  #wait(refusal: Refusal, delay?: number): void {
    const { clock, random } = this.#environment;
    const ms = delay ?? backoffDelay(this.#failures, random, this.#backoff, refusal.retryAfterMs);
    this.#become({ status: 'waiting', attempt: this.#failures + 1, retryAt: clock.now() + ms, refusal });
    this.#retryTimer = clock.setTimeout(() => void this.#attempt({ purpose: 'connect' }), ms);
  }

  #stop(): void {
    this.#generation += 1;
    this.#environment.clock.clearTimeout(this.#retryTimer);
    this.#environment.clock.clearTimeout(this.#tokenTimer);
    this.#environment.clock.clearTimeout(this.#pauseTimer);
  }

  #become(state: ConnectionState): void {
    this.#state = state;
    this.#emit('state', state);
  }

  #emit<K extends keyof ClientEvents>(name: K, value: ClientEvents[K]): void {
    for (const listener of [...this.#listeners[name]]) listener(value);
  }
}

/** Whether another token could change the answer. */
function isAboutToken(refusal: Refusal): boolean {
  return refusal.status === 401 || refusal.closeCode === 1008 || refusal.reason.startsWith('TOKEN_');
}

const MODE_PATHS = { main: '/ws', factory: '/ws/factory', isolated: '/ws/isolated' } as const;

const DEFAULT_SUBPROTOCOLS = ['portcullis.v1', 'jwt-auth'] as const;

/** How long no WebSocket is tried after one was blocked. */
const BLOCKED_MS = 10 * 60_000;

/** How long the server's limit on messages a second is given to recover. */
const RATE_PAUSE_MS = 1_000;

/** Longer timers overflow and fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
