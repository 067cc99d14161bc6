import { describe, expect, test } from 'vitest';
import { settle } from './fakeGateway.js';
import { client, connected, gateway, messages } from './harness.js';

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

  test('cancelling, steering and approving need a live connection', async () => {
    const it = client();
    expect([it.cancel('r'), it.steer('r', 'x'), it.approve('a', 'approved'), it.reauthenticate('t')]).toEqual([false, false, false, false]);
    it.connect();
    await settle();
    expect([it.cancel('r'), it.steer('r', 'in German'), it.approve('a', 'denied', 'no')]).toEqual([true, true, true]);
    expect(gateway.socket.sent.map(({ type, payload }) => [type, payload])).toEqual([
      ['cancel_run', { run_id: 'r' }],
      ['steer', { run_id: 'r', content: 'in German' }],
      ['approve', { approval_id: 'a', decision: 'denied', comment: 'no' }],
    ]);
  });
});
