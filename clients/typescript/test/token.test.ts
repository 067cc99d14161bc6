import { describe, expect, test } from 'vitest';
import { catalogueRefusal, RefusedError } from '../src/index.js';
import { settle } from './fakeGateway.js';
import { client, connected, gateway, refusalIn, requests } from './harness.js';

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
