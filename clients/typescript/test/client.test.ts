import { describe, expect, test } from 'vitest';
import { catalogueRefusal, RefusedError } from '../src/index.js';
import type { ClientOptions, Reason } from '../src/index.js';
import { settle } from './fakeGateway.js';
import { client, connected, gateway, messages, refusalIn, requests, statuses } from './harness.js';

describe('connecting', () => {
  test('offers plain names and the token wrapped in base64url, in this order', async () => {
    await connected({ token: () => 'a.b.ü?>' });
    expect(gateway.socket.protocols).toEqual(['portcullis.v1', 'jwt-auth', 'jwt.YS5iLsO8Pz4']);
    expect(statuses()).toEqual(['connecting', 'live']);
  });

  test.each([
    [{}, 'ws://gate.test:8000/ws'],
    [{ mode: 'factory' }, 'ws://gate.test:8000/ws/factory'],
    [{ mode: 'isolated' }, 'ws://gate.test:8000/ws/isolated'],
    [{ path: '/api/v1/websocket' }, 'ws://gate.test:8000/api/v1/websocket'],
    [{ gateway: 'https://gate.test' }, 'wss://gate.test/ws'],
    [{ build: '7f20aa8e85a2' }, 'ws://gate.test:8000/ws?build=7f20aa8e85a2'],
    [{ path: '/ws?mode=main', build: 'a b' }, 'ws://gate.test:8000/ws?mode=main&build=a+b'],
  ] satisfies [Partial<ClientOptions>, string][])('%j connects to %s', async (options, url) => {
    await connected(options);
    expect(gateway.socket.url).toBe(url);
  });

  test('is not live before the server says so', async () => {
    gateway.treatments = [{ kind: 'hang' }];
    const it = client();
    it.connect();
    await settle();
    gateway.socket.readyState = 1;
    gateway.socket.event(1);
    expect(it.state.status).toBe('connecting');
    expect(messages).toEqual([]);
  });

  test('connecting twice is connecting once', async () => {
    const it = client();
    it.connect();
    it.connect();
    await settle();
    it.connect();
    await settle();
    expect(gateway.sockets).toHaveLength(1);
  });

  test('a handshake that hangs is given up, and the preflight is asked', async () => {
    gateway.treatments = [{ kind: 'hang' }];
    const it = client({ connectTimeoutMs: 3_000, transports: ['websocket'] });
    it.connect();
    await gateway.clock.advance(2_999);
    expect(it.state.status).toBe('connecting');
    await gateway.clock.advance(1);
    expect(refusalIn(it.state)?.reason).toBe('UPGRADE_BLOCKED');
    expect(gateway.socket.readyState).toBe(3);
  });
});

describe('refused handshakes', () => {
  test('the preflight names the build of the page too', async () => {
    gateway.treatments = [{ kind: 'refuse', reason: 'PROTOCOL_MISMATCH' }];
    client({ build: '7f20aa8e85a2' }).connect();
    await settle();
    expect(gateway.preflights[0]).toMatchObject({ mode: 'main', build: '7f20aa8e85a2' });
  });

  test('the preflight tells what the browser hides, with the same offer', async () => {
    gateway.treatments = [{ kind: 'refuse', reason: 'ORIGIN_NOT_ALLOWED' }];
    const it = client();
    it.connect();
    await settle();
    expect(gateway.preflights).toEqual([{ mode: 'main', protocols: gateway.socket.protocols }]);
    expect(refusalIn(it.state)).toEqual({
      ...catalogueRefusal('ORIGIN_NOT_ALLOWED', 'preflight'),
      status: 403,
      closeCode: 1006,
      requestId: 'req_1',
    });
    await gateway.clock.advance(3_600_000);
    expect(gateway.sockets).toHaveLength(1);
  });

  test('a token that was refused is replaced once, at once', async () => {
    gateway.treatments = [{ kind: 'refuse', reason: 'TOKEN_EXPIRED' }, { kind: 'accept' }];
    const it = client();
    it.connect();
    await settle();
    expect(it.state.status).toBe('live');
    expect(requests.map(({ purpose }) => purpose)).toEqual(['connect', 'replace']);
    expect(gateway.sockets.map(({ protocols }) => protocols[2])).toEqual(['jwt.dG9rZW4tMQ', 'jwt.dG9rZW4tMg']);
  });

  test('a replaced token that is refused too is final', async () => {
    gateway.treatments = [{ kind: 'refuse', reason: 'TOKEN_EXPIRED' }];
    const it = client();
    it.connect();
    await settle();
    expect(it.state.status).toBe('closed');
    expect(gateway.sockets).toHaveLength(2);
    it.connect();
    await settle();
    expect(gateway.sockets, 'connect() starts anew').toHaveLength(4);
  });

  test('where no better token is to be had, the server’s reason is shown, not the callback’s', async () => {
    gateway.treatments = [{ kind: 'refuse', reason: 'TOKEN_REVOKED' }];
    const it = client({
      token: ({ purpose }) => {
        if (purpose !== 'connect') throw new Error('no');
        return 'old';
      },
    });
    it.connect();
    await settle();
    expect(refusalIn(it.state)?.reason).toBe('TOKEN_REVOKED');
    expect(it.state.status).toBe('closed');
  });

  test.each(['BAD_UPGRADE', 'UNKNOWN_MODE', 'ORIGIN_NOT_ALLOWED', 'NO_COMMON_SUBPROTOCOL', 'INSUFFICIENT_SCOPE'] satisfies Reason[])(
    '%s is not tried again',
    async (reason) => {
      gateway.treatments = [{ kind: 'refuse', reason }];
      const it = client();
      it.connect();
      await gateway.clock.advance(3_600_000);
      expect(it.state.status).toBe('closed');
      expect(gateway.sockets).toHaveLength(1);
      expect(gateway.clock.pending).toBe(0);
    },
  );

  test.each([
    [{ kind: 'refuse', reason: 'TOO_MANY_CONNECTIONS' }, 'TOO_MANY_CONNECTIONS'],
    [{ kind: 'refuse', reason: 'NOT_READY' }, 'NOT_READY'],
    [{ kind: 'blocked' }, 'UPGRADE_BLOCKED'],
    [{ kind: 'unreachable' }, 'UNREACHABLE'],
    [{ kind: 'close', code: 1012, text: 'DRAINING' }, 'DRAINING'],
    [{ kind: 'close', code: 4599, text: '' }, 'UNKNOWN'],
  ] as const)('%j is tried again until it works', async (treatment, reason) => {
    gateway.treatments = [treatment, treatment, treatment, { kind: 'accept' }];
    const it = client({ transports: ['websocket'] });
    it.connect();
    await settle();
    expect(refusalIn(it.state)?.reason).toBe(reason);
    await gateway.clock.advance(60_000);
    expect(it.state.status).toBe('live');
    expect(gateway.sockets).toHaveLength(4);
  });

  test('a close frame that stands for the refusal is read without a preflight', async () => {
    gateway.treatments = [{ kind: 'close', code: 1008, text: 'ORIGIN_NOT_ALLOWED' }];
    const it = client();
    it.connect();
    await settle();
    expect(refusalIn(it.state)).toEqual(catalogueRefusal('ORIGIN_NOT_ALLOWED', 'close', { closeCode: 1008 }));
    expect(gateway.preflights).toEqual([]);
  });

  test('pauses grow with full jitter and respect Retry-After', async () => {
    gateway.treatments = [{ kind: 'unreachable' }];
    gateway.random = 0.999;
    const it = client({ backoff: { baseMs: 1_000, maxMs: 4_000 } });
    it.connect();
    const pauses: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      await settle();
      if (it.state.status !== 'waiting') throw new Error(it.state.status);
      pauses.push(it.state.retryAt - gateway.clock.now());
      await gateway.clock.advance(it.state.retryAt - gateway.clock.now());
    }
    expect(pauses).toEqual([999, 1998, 3996, 3996]);

    gateway.treatments = [{ kind: 'refuse', reason: 'RATE_LIMITED', retryAfter: 30 }];
    await gateway.clock.advance(4_000);
    if (it.state.status !== 'waiting') throw new Error(it.state.status);
    expect(it.state.retryAt - gateway.clock.now()).toBeGreaterThan(26_000);
  });

  test('connect() while waiting tries at once', async () => {
    gateway.treatments = [{ kind: 'unreachable' }, { kind: 'accept' }];
    const it = client();
    it.connect();
    await settle();
    expect(it.state.status).toBe('waiting');
    it.connect();
    await settle();
    expect(it.state.status).toBe('live');
    await gateway.clock.advance(10_000);
    expect(gateway.sockets).toHaveLength(2);
  });
});

describe('the token callback', () => {
  test('its refusal is passed on', async () => {
    const refusal = catalogueRefusal('TOKEN_REVOKED', 'http');
    const it = client({ token: () => Promise.reject(new RefusedError(refusal)) });
    it.connect();
    await settle();
    expect(it.state).toEqual({ status: 'closed', refusal });
  });

  test('any other failure is TOKEN_UNAVAILABLE, without its text', async () => {
    const it = client({ token: () => Promise.reject(new Error('secret-token')) });
    it.connect();
    await settle();
    expect(refusalIn(it.state)?.reason).toBe('TOKEN_UNAVAILABLE');
    expect(JSON.stringify(it.state)).not.toContain('secret-token');
  });

  test('a service that is down is waited for', async () => {
    const down = new RefusedError(catalogueRefusal('AUTH_UNAVAILABLE', 'http'));
    let calls = 0;
    const it = client({ token: () => (++calls < 3 ? Promise.reject(down) : Promise.resolve('t')) });
    it.connect();
    await gateway.clock.advance(10_000);
    expect(it.state.status).toBe('live');
  });

  test('a token that comes after close() opens nothing', async () => {
    let give: (token: string) => void = () => undefined;
    const it = client({ token: () => new Promise<string>((resolve) => (give = resolve)) });
    it.connect();
    it.close();
    give('late');
    await settle();
    expect(gateway.sockets).toEqual([]);
    expect(it.state).toEqual({ status: 'closed' });
  });

  test('a live connection gets a fresh token before the old one ends', async () => {
    gateway.tokenLifeMs = 100_000;
    await connected();
    await gateway.clock.advance(69_999);
    expect(gateway.socket.sentOf('reauthenticate')).toEqual([]);
    await gateway.clock.advance(1);
    expect(gateway.socket.sentOf('reauthenticate')).toEqual([{ type: 'reauthenticate', payload: { token: 'token-2' } }]);
    expect(requests.at(-1)).toEqual({ purpose: 'reauthenticate' });
  });

  test('and once after the server says that it ends', async () => {
    await connected();
    gateway.socket.say('token_expiring', { expires_at: '2026-01-01T00:01:00Z', seconds_left: 60 });
    await gateway.clock.advance(29_999);
    expect(gateway.socket.sentOf('reauthenticate')).toHaveLength(0);
    await gateway.clock.advance(3_600_000);
    expect(gateway.socket.sentOf('reauthenticate')).toHaveLength(1);
  });
});

describe('asking', () => {
  test('waits for the connection, and goes out once', async () => {
    const it = client();
    const { messageId, threadId } = it.ask('why?');
    it.connect();
    await settle();
    expect(gateway.socket.sent).toEqual([{ type: 'user_message', id: messageId, thread_id: threadId, payload: { content: 'why?' } }]);
  });

  test('is sent again under the same id until it was accepted', async () => {
    const it = await connected();
    const first = it.ask('one');
    const second = it.ask('two', { threadId: first.threadId });
    gateway.socket.say('message_accepted', { message_id: first.messageId, run_id: 'r', thread_id: first.threadId, duplicate: false });
    gateway.socket.end(1006, '');
    await gateway.clock.advance(60_000);
    expect(gateway.sockets).toHaveLength(2);
    expect(gateway.socket.sentOf('user_message').map(({ id }) => id)).toEqual([second.messageId]);
  });

  test('is not repeated when it was refused', async () => {
    const it = await connected();
    const { messageId } = it.ask('one');
    gateway.socket.say('error', { reason: 'RATE_LIMITED', title: '', message: '', retry: 'backoff', message_id: messageId });
    gateway.socket.end(1006, '');
    await gateway.clock.advance(60_000);
    expect(gateway.socket.sentOf('user_message')).toEqual([]);
  });

  test.each(['DRAINING', 'NOT_READY'] as const)('goes to the next server when this one says %s', async (reason) => {
    const it = await connected();
    const { messageId } = it.ask('one');
    gateway.socket.say('error', { reason, title: '', message: '', retry: 'backoff', message_id: messageId });
    expect(messages, 'it is not refused').toEqual([]);
    if (reason === 'DRAINING') gateway.socket.end(1012, 'DRAINING');
    expect(it.state.status, 'no question is left on a server that takes none').toBe('waiting');
    await gateway.clock.advance(60_000);
    expect(gateway.sockets).toHaveLength(2);
    expect(gateway.socket.sentOf('user_message').map(({ id }) => id)).toEqual([messageId]);
  });

  test('waits where the server is about to go', async () => {
    const it = await connected();
    gateway.socket.say('draining', { reconnect_after_ms: 100 });
    const { messageId } = it.ask('one');
    expect(gateway.socket.sent).toEqual([]);
    gateway.socket.end(1012, 'DRAINING');
    await gateway.clock.advance(60_000);
    expect(gateway.socket.sentOf('user_message').map(({ id }) => id)).toEqual([messageId]);
  });

  test('few are in flight at once, and the next goes out with each answer', async () => {
    const it = client();
    const asked = Array.from({ length: 20 }, (_, n) => it.ask(`${n}`).messageId);
    it.connect();
    await settle();
    const sent = () => gateway.socket.sentOf('user_message').map(({ id }) => id);
    expect(sent()).toEqual(asked.slice(0, 8));
    for (const messageId of asked) {
      gateway.socket.say('message_accepted', { message_id: messageId, run_id: 'r', thread_id: 't', duplicate: false });
    }
    expect(sent()).toEqual(asked);
  });

  test('what a server that reads no more today has dropped goes out once more', async () => {
    const it = await connected();
    const asked = [it.ask('one').messageId, it.ask('two').messageId];
    gateway.socket.say('message_accepted', { message_id: asked[0], run_id: 'r', thread_id: 't', duplicate: false });
    gateway.socket.say('error', { reason: 'RATE_LIMITED', title: '', message: '', retry: 'backoff' });
    await gateway.clock.advance(999);
    expect(gateway.socket.sentOf('user_message')).toHaveLength(2);
    await gateway.clock.advance(1);
    expect(gateway.socket.sentOf('user_message').map(({ id }) => id)).toEqual([...asked, asked[1]]);
  });

  test('is refused where too many wait, and forgets none of them', async () => {
    const it = client();
    for (let n = 0; n < 100; n += 1) it.ask('?', { id: `q-${n}` });
    expect(() => it.ask('one more')).toThrow('OUTBOX_FULL');
    expect(() => it.ask('the same again', { id: 'q-7' })).not.toThrow();
    const big = client();
    for (let n = 0; n < 17; n += 1) big.ask('x'.repeat(60_000));
    expect(() => big.ask('x'.repeat(60_000))).toThrow('OUTBOX_FULL');
  });

  test('is refused at once where the server takes nothing of its length', async () => {
    const it = await connected();
    expect(() => it.ask('ü'.repeat(32_768))).toThrow('MESSAGE_TOO_BIG');
    it.ask('ü'.repeat(32_000));
    expect(gateway.socket.sentOf('user_message')).toHaveLength(1);
  });

  test('one too long for the server that came is told, not sent', async () => {
    const it = client();
    const refused: unknown[] = [];
    it.on('refused', ({ messageId, threadId, refusal }) => refused.push([messageId, threadId, refusal.reason]));
    const { messageId, threadId } = it.ask('x'.repeat(70_000));
    const short = it.ask('short').messageId;
    it.connect();
    await settle();
    expect(refused).toEqual([[messageId, threadId, 'MESSAGE_TOO_BIG']]);
    expect(gateway.socket.sentOf('user_message').map(({ id }) => id)).toEqual([short]);
  });

  test('cancelling and approving need a live connection', async () => {
    const it = client();
    expect([it.cancel('r'), it.approve('a', 'approved'), it.reauthenticate('t')]).toEqual([false, false, false]);
    it.connect();
    await settle();
    expect([it.cancel('r'), it.approve('a', 'denied', 'no')]).toEqual([true, true]);
    expect(gateway.socket.sent.map(({ type, payload }) => [type, payload])).toEqual([
      ['cancel_run', { run_id: 'r' }],
      ['approve', { approval_id: 'a', decision: 'denied', comment: 'no' }],
    ]);
  });
});

describe('streams', () => {
  const seqs = () => messages.flatMap((message) => ('seq' in message ? [message.seq] : []));

  test('repeats are dropped by position, per thread', async () => {
    await connected();
    for (const seq of [1, 2, 2, 1, 3]) gateway.socket.event(seq);
    gateway.socket.event(1, { thread: 't2' });
    expect(seqs()).toEqual([1, 2, 3, 1]);
  });

  test('after a reconnect the missed events are asked for from the last position', async () => {
    await connected();
    gateway.socket.event(1);
    gateway.socket.event(2);
    gateway.socket.event(7, { thread: 't2', epoch: 'x' });
    gateway.socket.end(1006, '');
    await gateway.clock.advance(60_000);
    expect(gateway.socket.sent[0]).toEqual({
      type: 'resume',
      payload: { threads: [{ thread_id: 't1', epoch: 'e1', after_seq: 2 }, { thread_id: 't2', epoch: 'x', after_seq: 7 }] },
    });
    for (const seq of [2, 3, 4]) gateway.socket.event(seq);
    expect(seqs()).toEqual([1, 2, 7, 3, 4]);
  });

  test('a new epoch is another stream', async () => {
    await connected();
    gateway.socket.event(5);
    gateway.socket.event(1, { epoch: 'e2' });
    gateway.socket.event(1, { epoch: 'e2' });
    expect(seqs()).toEqual([5, 1]);
  });

  test('what is missing is asked for once, and what runs ahead of it waits for its turn', async () => {
    const it = await connected();
    const gaps: unknown[] = [];
    it.on('gap', (gap) => gaps.push(gap));
    for (const seq of [1, 4, 5]) gateway.socket.event(seq);
    expect(gateway.socket.sent).toEqual([
      { type: 'resume', payload: { threads: [{ thread_id: 't1', epoch: 'e1', after_seq: 1 }] } },
    ]);
    gateway.socket.say('resumed', { threads: [{ thread_id: 't1', epoch: 'e1', from_seq: 2, to_seq: 5 }] });
    for (const seq of [2, 3, 4, 5, 6]) gateway.socket.event(seq);
    expect(seqs()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(gaps).toEqual([]);
  });

  test('events that come before the server has read the resume are not taken for repeats later', async () => {
    await connected();
    gateway.socket.event(1);
    gateway.socket.end(1006, '');
    await gateway.clock.advance(60_000);
    gateway.socket.event(4);
    gateway.socket.say('resumed', { threads: [{ thread_id: 't1', epoch: 'e1', from_seq: 2, to_seq: 4 }] });
    for (const seq of [2, 3, 4, 5]) gateway.socket.event(seq);
    expect(seqs()).toEqual([1, 2, 3, 4, 5]);
    expect(gateway.socket.sentOf('resume')).toHaveLength(1);
  });

  test('a hole that the server leaves is told, and passed', async () => {
    const it = await connected();
    const gaps: unknown[] = [];
    it.on('gap', (gap) => gaps.push(gap));
    gateway.socket.event(1);
    gateway.socket.event(4);
    gateway.socket.say('resumed', { threads: [{ thread_id: 't1', epoch: 'e1', from_seq: 2, to_seq: 4 }] });
    gateway.socket.event(4);
    expect(gaps).toEqual([{ kind: 'gap', threadId: 't1', expected: 2, got: 4 }]);
    expect(seqs()).toEqual([1, 4]);
  });

  test('where events are retained no longer, the rest is asked for', async () => {
    await connected();
    gateway.socket.event(1);
    gateway.socket.end(1006, '');
    await gateway.clock.advance(60_000);
    const gap = { thread_id: 't1', epoch: 'e1', first_available_seq: 5, last_seq: 6, reason: 'trimmed' };
    gateway.socket.say('resume_gap', gap);
    expect(gateway.socket.sentOf('resume').at(-1)?.payload).toEqual({ threads: [{ thread_id: 't1', epoch: 'e1', after_seq: 4 }] });
    gateway.socket.say('resumed', { threads: [{ thread_id: 't1', epoch: 'e1', from_seq: 5, to_seq: 6 }] });
    for (const seq of [5, 6]) gateway.socket.event(seq);
    expect(seqs()).toEqual([1, 5, 6]);
    // And if that is gone as well by then, what comes next is taken.
    gateway.socket.end(1006, '');
    await gateway.clock.advance(60_000);
    gateway.socket.say('resume_gap', { ...gap, first_available_seq: 9, last_seq: 9 });
    gateway.socket.say('resume_gap', { ...gap, first_available_seq: 12, last_seq: 12 });
    gateway.socket.event(13);
    expect(gateway.socket.sentOf('resume')).toHaveLength(2);
    expect(seqs()).toEqual([1, 5, 6, 13]);
  });

  test('in a mode that retains nothing, nothing is asked for', async () => {
    gateway.mode = 'isolated';
    const it = await connected({ mode: 'isolated' });
    const gaps: unknown[] = [];
    it.on('gap', (gap) => gaps.push(gap));
    for (const seq of [1, 4]) gateway.socket.event(seq);
    expect(gateway.socket.sent).toEqual([]);
    expect([gaps.length, seqs()]).toEqual([1, [1, 4]]);
  });

  test('at most a hundred threads are resumed: the ones that moved last', async () => {
    await connected();
    for (let n = 0; n < 150; n += 1) gateway.socket.event(1, { thread: `t${n}` });
    gateway.socket.event(2, { thread: 't0' });
    gateway.socket.end(1006, '');
    await gateway.clock.advance(60_000);
    const threads = gateway.socket.sent[0]?.payload['threads'] as { thread_id: string }[];
    expect(threads).toHaveLength(100);
    expect(threads.at(-1)?.thread_id).toBe('t0');
    expect(threads[0]?.thread_id).toBe('t51');
  });

  test.each(['not json', '[]', '{}', '{"type":7}', '{"type":"agent_started"}', new ArrayBuffer(3), ''])('%j is ignored', async (data) => {
    const it = await connected();
    gateway.socket.raw(data);
    expect(messages).toEqual([]);
    expect(it.state.status).toBe('live');
  });

  test('a type of a later version is passed on', async () => {
    await connected();
    gateway.socket.say('weather_report', { rain: true });
    expect(messages.map(({ type }) => type as string)).toEqual(['weather_report']);
  });
});

describe('the end of a connection', () => {
  test.each([
    [1008, 'TOKEN_EXPIRED', 'live'],
    [1013, 'SLOW_CONSUMER', 'live'],
    [1012, 'DRAINING: back soon', 'live'],
    [1001, 'HEARTBEAT_TIMEOUT', 'live'],
    [1006, '', 'live'],
    [1008, 'TOKEN_REVOKED', 'live'],
    [4408, '', 'closed'],
    [1003, 'UNSUPPORTED_DATA', 'closed'],
    [1002, '', 'closed'],
  ] as const)('%i %s leads to %s', async (code, text, after) => {
    const it = await connected();
    gateway.socket.end(code, text);
    await gateway.clock.advance(60_000);
    expect(it.state.status).toBe(after);
  });

  test('a draining server says when to come back', async () => {
    const it = await connected();
    gateway.socket.say('draining', { reconnect_after_ms: 12_345 });
    gateway.socket.end(1012, 'DRAINING');
    await settle();
    if (it.state.status !== 'waiting') throw new Error(it.state.status);
    expect(it.state.retryAt - gateway.clock.now()).toBe(12_345);
  });

  test('a silent line is asked and then given up', async () => {
    const it = await connected();
    await gateway.clock.advance(20_000);
    expect(gateway.socket.sentOf('ping')).toHaveLength(1);
    await gateway.clock.advance(600_000);
    expect(it.state.status).toBe('live');
    expect(gateway.sockets).toHaveLength(1);
    gateway.deaf = true;
    await gateway.clock.advance(61_000);
    expect(gateway.sockets[0]?.readyState).toBe(3);
    expect(gateway.sockets[1]?.protocols).toContain('jwt-auth');
  });

  test('close() is final, leaves no timer, and hears nothing more', async () => {
    const it = await connected();
    const { socket } = gateway;
    it.close();
    expect(socket.closedWith).toBe(1000);
    socket.event(1);
    socket.end(1000, '');
    await gateway.clock.advance(3_600_000);
    expect(it.state).toEqual({ status: 'closed' });
    expect(messages).toEqual([]);
    expect(gateway.clock.pending).toBe(0);
    expect(gateway.sockets).toHaveLength(1);
  });

  test('a listener that was taken off hears nothing', async () => {
    const it = client();
    const heard: string[] = [];
    const off = it.on('state', ({ status }) => heard.push(status));
    it.connect();
    off();
    await settle();
    expect(heard).toEqual(['connecting']);
  });
});

describe('following a thread', () => {
  test('is heard from its beginning, once, and again after a reconnect', async () => {
    const it = await connected();
    it.follow('t1');
    it.follow('t1');
    expect(gateway.socket.sentOf('resume')).toEqual([{ type: 'resume', payload: { threads: [{ thread_id: 't1', after_seq: 0 }] } }]);
    gateway.socket.event(9);
    gateway.socket.say('resumed', { threads: [{ thread_id: 't1', epoch: 'e1', from_seq: 1, to_seq: 9 }] });
    gateway.socket.event(1);
    expect(messages.flatMap((message) => ('seq' in message ? [message.seq] : [])), 'what runs ahead waits for its turn').toEqual([1]);
    it.follow('t2');
    gateway.socket.end(1006, '');
    await gateway.clock.advance(60_000);
    expect(gateway.socket.sentOf('resume')[0]?.payload).toEqual({
      threads: [{ thread_id: 't1', epoch: 'e1', after_seq: 1 }, { thread_id: 't2', after_seq: 0 }],
    });
  });
});
