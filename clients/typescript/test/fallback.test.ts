import { describe, expect, test } from 'vitest';
import type { ClientOptions } from '../src/index.js';
import { settle } from './fakeGateway.js';
import { client, gateway, messages, refusalIn, requests, statuses } from './harness.js';

describe('where WebSockets are blocked', () => {
  const blocked = async (options: Partial<ClientOptions> = {}) => {
    gateway.treatments = [{ kind: 'blocked' }];
    const it = client(options);
    it.connect();
    await settle();
    return it;
  };
  const seqs = () => messages.flatMap((message) => ('seq' in message ? [message.seq] : []));

  test('events come as a stream and messages go by POST, at once', async () => {
    const it = await blocked();
    expect(it.state).toMatchObject({ status: 'live', transport: 'sse' });
    expect(statuses()).toEqual(['connecting', 'connecting', 'live']);
    const { messageId, threadId } = it.ask('why?');
    await settle();
    expect(gateway.posts).toEqual([{ url: 'http://gate.test:8000/messages', authorization: 'Bearer token-2', message: expect.objectContaining({ id: messageId, thread_id: threadId }) as unknown }]);
    gateway.stream.event(1);
    gateway.stream.event(2);
    await settle();
    expect(seqs()).toEqual([1, 2]);
    expect(messages.map(({ type }) => type)).toContain('message_accepted');
  });

  test('an event may come in pieces', async () => {
    await blocked();
    gateway.stream.pieces = 3;
    gateway.stream.event(1, { payload: { delta: 'ü'.repeat(50) } });
    await settle();
    expect(messages).toMatchObject([{ payload: { delta: 'ü'.repeat(50) } }]);
  });

  test('a stream that breaks goes on from where it was', async () => {
    await blocked();
    gateway.stream.event(1);
    gateway.stream.event(2);
    await settle();
    gateway.stream.end();
    await gateway.clock.advance(5_000);
    expect(gateway.streams).toHaveLength(2);
    expect(gateway.sockets, 'a WebSocket is not tried each time').toHaveLength(1);
    expect(new URL(gateway.stream.url).searchParams.getAll('resume')).toEqual(['t1:e1:2']);
    for (const seq of [2, 3]) gateway.stream.event(seq);
    await settle();
    expect(seqs()).toEqual([1, 2, 3]);
  });

  test('after some minutes a WebSocket is tried again', async () => {
    const it = await blocked();
    gateway.treatments = [{ kind: 'accept' }];
    // Streams on which nothing comes are opened anew each time; this one lives on.
    await gateway.clock.advance(590_000);
    expect(gateway.sockets).toHaveLength(1);
    await gateway.clock.advance(60_000);
    expect(it.state).toMatchObject({ status: 'live', transport: 'websocket' });
  });

  test('a hole in the stream is asked for with the next one', async () => {
    await blocked();
    gateway.stream.event(1);
    gateway.stream.event(4);
    await gateway.clock.advance(60_000);
    expect(new URL(gateway.stream.url).searchParams.getAll('resume')).toEqual(['t1:e1:1']);
    for (const seq of [2, 3, 4]) gateway.stream.event(seq);
    await settle();
    expect(seqs()).toEqual([1, 2, 3, 4]);
  });

  test('its last word is read as a close frame is', async () => {
    const it = await blocked();
    gateway.stream.raw('event: close\ndata: {"code":1008,"reason":"TOKEN_EXPIRED: The token has expired"}\n\n');
    await settle();
    expect(requests.at(-1)).toMatchObject({ purpose: 'replace', refusal: { reason: 'TOKEN_EXPIRED' } });
    expect(it.state.status).toBe('live');
  });

  test('a message that did not arrive is sent once more on the next stream, before those behind it', async () => {
    const it = await blocked();
    gateway.postFails = 1;
    const asked = [it.ask('one').messageId, it.ask('two').messageId];
    await gateway.clock.advance(5_000);
    expect(gateway.posts.map(({ message }) => message.id)).toEqual(asked);
    expect(gateway.streams).toHaveLength(2);
  });

  test('a stream that is silent for too long is given up', async () => {
    await blocked();
    await gateway.clock.advance(19_000);
    gateway.stream.raw(':\n\n');
    await gateway.clock.advance(39_000);
    expect(gateway.streams).toHaveLength(1);
    await gateway.clock.advance(10_000);
    expect(gateway.streams).toHaveLength(2);
  });

  test('a stream that cannot be had either is told, and a WebSocket is tried again', async () => {
    gateway.streamsFail = true;
    const it = await blocked();
    expect(refusalIn(it.state)?.reason).toBe('UNREACHABLE');
    gateway.treatments = [{ kind: 'accept' }];
    await gateway.clock.advance(60_000);
    expect(it.state).toMatchObject({ status: 'live', transport: 'websocket' });
  });

  test('isolated has nothing to fall back to, and neither has who wants none', async () => {
    for (const options of [{ mode: 'isolated' }, { transports: ['websocket'] }] as const) {
      const it = await blocked(options);
      expect(refusalIn(it.state)?.reason).toBe('UPGRADE_BLOCKED');
      it.close();
    }
    expect(gateway.streams).toEqual([]);
  });

  test('close() ends the stream, and nothing is left behind', async () => {
    const it = await blocked();
    it.close();
    await gateway.clock.advance(3_600_000);
    expect(gateway.stream.aborted).toBe(true);
    expect(gateway.streams).toHaveLength(1);
    expect(gateway.clock.pending).toBe(0);
  });
});
