import { describe, expect, test } from 'vitest';
import { connected, gateway, messages } from './harness.js';

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
