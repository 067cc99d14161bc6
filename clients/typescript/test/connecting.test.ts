import { describe, expect, test } from 'vitest';
import type { ClientOptions } from '../src/index.js';
import { settle } from './fakeGateway.js';
import { client, connected, gateway, messages, refusalIn, statuses } from './harness.js';

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
