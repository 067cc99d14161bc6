import { describe, expect, test } from 'vitest';
import { catalogueRefusal } from '../src/index.js';
import type { Reason } from '../src/index.js';
import { settle } from './fakeGateway.js';
import { client, gateway, refusalIn, requests } from './harness.js';

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
