/**
 * A gateway for working on the page: the same routes and messages as the real one, no checks worth the name. What it does
 * is chosen by the user name. It differs from the real gateway in these points: tokens are plain user names, nothing is
 * kept over a restart, and only the mode `main` exists.
 */

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { REASONS, type Reason } from '@portcullis/client';
import { type WebSocket, WebSocketServer } from 'ws';
import { scriptFor } from './script.ts';

/** How the users of the mock are treated. */
const SCENARIOS = {
  /** Everything works. */
  ada: {},
  /** Answers, slowly. */
  slow: { pace: 6 },
  /** The connection is cut in mid-answer, once; the rest comes after a resume. */
  drop: { drop: true },
  /** The token has always just expired. */
  expired: { refuse: 'TOKEN_EXPIRED' },
  /** There is no room. */
  busy: { refuse: 'TOO_MANY_CONNECTIONS' },
  /** The agent fails. */
  fail: { fails: true },
} as const satisfies Record<string, Scenario>;

interface Scenario {
  readonly pace?: number;
  readonly drop?: boolean;
  readonly refuse?: Reason;
  readonly fails?: boolean;
}

/** One thread's stream, and who reads it. */
interface Stream {
  readonly user: string;
  readonly epoch: string;
  readonly events: string[];
}

export class MockGateway {
  readonly #sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => plainName(offered) });
  readonly #live = new Map<WebSocket, string>();
  readonly #streams = new Map<string, Stream>();
  readonly #dropped = new Set<string>();

  /** Answers a plain HTTP request if it is one of ours. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const { pathname } = new URL(request.url ?? '/', 'http://mock');
    switch (pathname) {
      case '/ws/config':
        send(response, 200, { protocol_version: 'v1', auth_url: `http://${request.headers.host ?? 'localhost'}`, build: null });
        return true;
      case '/ws/preflight':
        void body(request).then((asked) => {
          const protocols = Array.isArray(asked['protocols']) ? asked['protocols'].map(String) : [];
          const refusal = refusalFor(tokenIn(protocols));
          send(response, 200, refusal === undefined ? { accepted: true } : { accepted: false, ...problem(refusal) });
        });
        return true;
      case '/api/v1/threads':
        send(response, 200, { threads: this.#threadsOf((request.headers.authorization ?? '').replace('Bearer ', '')) });
        return true;
      case '/auth/login':
        void body(request).then((asked) => {
          const user = String(asked['username'] ?? '');
          if (asked['password'] === 'wrong' || scenario(user) === undefined) refuse(response, 'LOGIN_FAILED');
          else send(response, 200, grant(user));
        });
        return true;
      case '/auth/refresh':
        void body(request).then((asked) => send(response, 200, grant(String(asked['refresh_token'] ?? ''))));
        return true;
      case '/auth/link':
        send(response, 200, grant('ada'));
        return true;
      case '/auth/logout':
        response.writeHead(204).end();
        return true;
      default:
        return false;
    }
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!(request.url ?? '').startsWith('/ws')) return;
    const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    const user = tokenIn(protocols);
    const refusal = refusalFor(user);
    if (refusal !== undefined || user === undefined) {
      socket.end(`HTTP/1.1 ${REASONS[refusal ?? 'NO_TOKEN'].status ?? 401} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (live) => this.#serve(live, user));
  }

  #serve(socket: WebSocket, user: string): void {
    this.#live.set(socket, user);
    socket.on('close', () => this.#live.delete(socket));
    const say = (type: string, payload: unknown, more: object = {}) =>
      socket.send(JSON.stringify({ type, id: randomUUID(), timestamp: now(), ...more, payload }));
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as { type: string; id?: string; thread_id?: string; payload: Record<string, unknown> };
      if (message.type === 'ping') say('pong', { echo: message.payload });
      if (message.type === 'resume') this.#resume(socket, message.payload['threads'] as { thread_id: string; after_seq: number }[]);
      if (message.type === 'user_message') {
        const runId = `run_${randomUUID()}`;
        const threadId = message.thread_id ?? `thr_${randomUUID()}`;
        const content = String(message.payload['content']);
        say('message_accepted', { message_id: message.id, run_id: runId, thread_id: threadId, duplicate: false }, { thread_id: threadId, run_id: runId });
        // As the real one keeps it, with a far simpler idea of what a credential is.
        const kept = content.replaceAll(/eyJ[\w.-]+/g, '[jwt 1a2b3c4d]');
        this.#tell(user, threadId, runId, 'user_message', { message_id: message.id, run_id: runId, content: kept });
        void this.#run(user, threadId, runId, content);
      }
    });
    say('connection_established', {
      connection_id: `conn_${randomUUID()}`,
      user_id: user,
      mode: 'main',
      protocol: socket.protocol,
      heartbeat_interval_ms: 25_000,
      max_message_bytes: 65_536,
      token_expires_at: new Date(Date.now() + 3_600_000).toISOString(),
      node: 'mock',
    });
  }

  #resume(socket: WebSocket, threads: readonly { thread_id: string; after_seq: number }[]): void {
    for (const { thread_id, after_seq } of threads) {
      for (const event of this.#streams.get(thread_id)?.events.slice(after_seq) ?? []) socket.send(event);
    }
  }

  /** Puts an event into a thread's stream and tells all of the user's pages; gives its number. */
  #tell(user: string, threadId: string, runId: string, type: string, payload: object): number {
    const stream = this.#streams.get(threadId) ?? { user, epoch: randomUUID().slice(0, 8), events: [] };
    this.#streams.set(threadId, stream);
    const seq = stream.events.length + 1;
    const event = JSON.stringify({
      type, id: randomUUID(), epoch: stream.epoch, seq, thread_id: threadId, run_id: runId, timestamp: now(), payload,
    });
    stream.events.push(event);
    for (const [socket, owner] of this.#live) if (owner === user) socket.send(event);
    return seq;
  }

  #threadsOf(user: string) {
    return [...this.#streams]
      .filter(([, stream]) => stream.user === user)
      .map(([thread_id, { epoch, events }]) => {
        const { type, timestamp } = JSON.parse(events.at(-1) ?? '{}') as { type: string; timestamp: string };
        return { thread_id, epoch, last_seq: events.length, updated_at: timestamp, last_event: type };
      })
      .reverse();
  }

  async #run(user: string, threadId: string, runId: string, question: string): Promise<void> {
    const { pace = 1, drop = false, fails = false } = scenario(user) ?? {};
    const began = Date.now();
    for (const { after, type, payload } of scriptFor(user, question, fails)) {
      await new Promise((done) => setTimeout(done, after * pace));
      const timed = type === 'agent_completed' ? { ...payload, execution_time_ms: Date.now() - began } : payload;
      const seq = this.#tell(user, threadId, runId, type, timed);
      if (drop && seq === 5 && !this.#dropped.has(threadId)) {
        this.#dropped.add(threadId);
        for (const [socket, owner] of this.#live) if (owner === user) socket.terminate();
      }
    }
  }
}

function scenario(user: string): Scenario | undefined {
  return Object.hasOwn(SCENARIOS, user) ? SCENARIOS[user as keyof typeof SCENARIOS] : undefined;
}

function refusalFor(user: string | undefined): Reason | undefined {
  if (user === undefined) return 'NO_TOKEN';
  const known = scenario(user);
  return known === undefined ? 'TOKEN_MALFORMED' : known.refuse;
}

function tokenIn(protocols: readonly string[]): string | undefined {
  const wrapped = protocols.find((name) => name.startsWith('jwt.'));
  return wrapped === undefined ? undefined : Buffer.from(wrapped.slice(4), 'base64url').toString();
}

function plainName(offered: Set<string>): string | false {
  return offered.has('portcullis.v1') ? 'portcullis.v1' : false;
}

function grant(user: string) {
  return { access_token: user, token_type: 'Bearer', expires_in: 3600, refresh_token: user, user: { id: user, name: user } };
}

function problem(reason: Reason) {
  const { title, remedy, retry, status } = REASONS[reason];
  return { type: `/reasons/${reason}`, title, status, reason, retry, remedy, request_id: `req_${randomUUID().slice(0, 12)}` };
}

function refuse(response: ServerResponse, reason: Reason): void {
  send(response, REASONS[reason].status ?? 400, problem(reason), 'application/problem+json');
}

function send(response: ServerResponse, status: number, value: unknown, type = 'application/json'): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(JSON.stringify(value));
}

async function body(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, unknown>;
}

function now(): string {
  return new Date().toISOString();
}
