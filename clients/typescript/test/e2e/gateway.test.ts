/** The client against a real gateway: what the fake promises must hold there too. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { Client } from '../../src/index.js';
import type { ClientOptions, ConnectionState, ServerEvent, WebSocketFactory } from '../../src/index.js';

const root = fileURLToPath(new URL('../../../..', import.meta.url));
const binary = [process.env['PORTCULLIS_BIN'], join(root, 'target/release/portcullis'), join(root, 'target/debug/portcullis')].find(
  (path) => path !== undefined && existsSync(path),
);
const data = mkdtempSync(join(tmpdir(), 'portcullis-client-'));
const clients: Client[] = [];
let server: ChildProcess;
let gateway: string;

function run(...args: string[]): string {
  if (binary === undefined) throw new Error('no portcullis binary: run "cargo build" or set PORTCULLIS_BIN');
  return execFileSync(binary, [...args, '--data-dir', data], { encoding: 'utf8', input: 'a long enough passphrase\n', stdio: 'pipe' });
}

const mint = (...options: string[]) => run('token', 'mint', '--sub', 'ada', ...options).trim();

/** Starts the server, and gives its address. */
async function serve(listen: string): Promise<string> {
  const ready = join(data, 'ready.json');
  rmSync(ready, { force: true });
  const args = ['serve', '--listen', listen, '--auth-listen', '127.0.0.1:0', '--data-dir', data, '--ready-file', ready];
  server = spawn(binary ?? '', args, { stdio: 'ignore' });
  return await vi.waitFor(() => (JSON.parse(readFileSync(ready, 'utf8')) as { gateway: string }).gateway, 60_000);
}

/** Ends the server, and waits until it is gone. */
async function stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const ended = new Promise((done) => server.once('exit', done));
  server.kill(signal);
  await ended;
}

beforeAll(async () => {
  run('users', 'add', 'ada', '--password-stdin');
  gateway = await serve('127.0.0.1:0');
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

afterAll(async () => {
  await stop('SIGTERM');
  rmSync(data, { recursive: true, force: true });
});

/** Every socket that the client under test opened. */
let sockets: WebSocket[];

function connect(token: ClientOptions['token'], options: Partial<ClientOptions> = {}) {
  sockets = [];
  class Socket extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  }
  const environment = { WebSocket: Socket as unknown as WebSocketFactory };
  const client = new Client({ gateway, token, environment, backoff: { baseMs: 20, maxMs: 100 }, ...options });
  const events: ServerEvent[] = [];
  client.on('message', (message) => {
    if ('seq' in message) events.push(message);
  });
  clients.push(client);
  client.connect();
  return { client, events };
}

const reached = (client: Client, status: ConnectionState['status']) =>
  expect.poll(() => client.state.status, { timeout: 10_000 }).toBe(status);

const finished = (events: ServerEvent[]) =>
  expect.poll(() => events.at(-1)?.type, { timeout: 20_000 }).toBe('agent_completed');

function refusal(client: Client) {
  return client.state.status === 'closed' ? client.state.refusal : undefined;
}

test.each(['main', 'factory', 'isolated'] as const)('asks and is answered in the mode %s', async (mode) => {
  const { client, events } = connect(() => mint(), { mode });
  await reached(client, 'live');
  const content = 'What does close code 1006 mean?';
  const { threadId, messageId } = client.ask(content);
  await finished(events);
  expect(events.slice(0, 2).map(({ type }) => type)).toEqual(['user_message', 'agent_started']);
  expect(events[0]?.payload).toEqual({ message_id: messageId, run_id: events[0]?.run_id, content });
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  expect(new Set(events.map(({ thread_id }) => thread_id))).toEqual(new Set([threadId]));
});

test('a question that was asked before the connection is answered, once', async () => {
  const { client, events } = connect(() => mint());
  client.ask('What is NO_TOKEN?');
  await finished(events);
  expect(events.filter(({ type }) => type === 'agent_started')).toHaveLength(1);
});

test('a connection that breaks in mid-answer loses and repeats nothing', async () => {
  const { client, events } = connect(() => mint());
  await reached(client, 'live');
  client.on('message', ({ type }) => {
    if (type === 'agent_thinking' && sockets.length === 1) sockets[0]?.terminate();
  });
  client.ask('Why does my browser only say 1006?');
  await finished(events);
  // All of a short answer may have come by the time that the line is cut: the client comes back all the same.
  await expect.poll(() => sockets.length).toBeGreaterThan(1);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
});

test.each(['SIGTERM', 'SIGKILL'] as const)('a server that ends by %s while it is asked much leaves nothing unanswered', async (signal) => {
  const { client, events } = connect(() => mint());
  await reached(client, 'live');
  const asked = new Map<string, string>();
  const accepted = new Map<string, string>();
  const refused: string[] = [];
  client.on('message', (message) => {
    if (message.type === 'message_accepted') accepted.set(message.payload.run_id, message.payload.message_id);
    if (message.type === 'error') refused.push(message.payload.reason);
  });
  const ask = (count: number) => {
    for (let n = 0; n < count; n += 1) {
      const { messageId, threadId } = client.ask('Why does my browser only say 1006?');
      asked.set(messageId, threadId);
    }
  };
  // Within the limit on the runs of a user, on a thread each.
  ask(4);
  const address = new URL(gateway).host;
  await expect.poll(() => events.length, { timeout: 10_000 }).toBeGreaterThan(2);
  const gone = stop(signal);
  ask(4);
  await gone;
  expect(await serve(address)).toBe(gateway);
  const ends = () => events.filter(({ type }) => type === 'agent_completed' || type === 'agent_failed');
  await expect.poll(() => ends().length, { timeout: 30_000 }).toBe(asked.size);
  expect(refused).toEqual([]);
  expect([...accepted.values()].sort(), 'each was accepted once').toEqual([...asked.keys()].sort());
  expect(ends().map(({ run_id }) => run_id).sort(), 'and ended once').toEqual([...accepted.keys()].sort());
  for (const threadId of asked.values()) {
    const seqs = events.filter(({ thread_id }) => thread_id === threadId).map(({ seq }) => seq);
    expect(seqs, 'in order, without holes').toEqual(seqs.map((_, index) => index + 1));
  }
});

describe('refusals', () => {
  test('an expired token is replaced', async () => {
    const { client } = connect(({ purpose }) => (purpose === 'connect' ? mint('--ttl=-1h') : mint()));
    await reached(client, 'live');
    expect(sockets).toHaveLength(2);
  });

  test.each([
    ['', 'TOKEN_MALFORMED'],
    ['abc', 'TOKEN_MALFORMED'],
    ['a.b.c', 'TOKEN_MALFORMED'],
  ])('%j is refused as %s, with a request id', async (token, reason) => {
    const { client } = connect(() => token);
    await reached(client, 'closed');
    expect(refusal(client)).toMatchObject({ reason, status: 401, source: 'preflight', requestId: expect.stringMatching(/\S/) as string });
  });

  test('a token with the signature of another is SIGNATURE_INVALID', async () => {
    const [header, payload] = mint('--ttl=2h').split('.');
    const signature = mint('--ttl=3h').split('.')[2];
    const { client } = connect(() => `${header}.${payload}.${signature}`);
    await reached(client, 'closed');
    expect(refusal(client)?.reason).toBe('SIGNATURE_INVALID');
  });

  test('no common subprotocol is final', async () => {
    const { client } = connect(() => mint(), { subprotocols: ['graphql-ws'] });
    await reached(client, 'closed');
    expect(refusal(client)?.reason).toBe('NO_COMMON_SUBPROTOCOL');
    expect(sockets).toHaveLength(1);
  });
});
