import type { ServerMessage } from '@portcullis/client';
import { beforeEach, describe, expect, test } from 'vitest';
import { ChatModel, type Thread, type Turn } from '../../src/chat/model.ts';

let model: ChatModel;
let seq: number;

beforeEach(() => {
  model = new ChatModel();
  seq = 0;
});

const PAYLOADS = {
  agent_started: { agent_id: 'doctor', agent_type: 'builtin', user_id: 'ada' },
  agent_thinking: { agent_id: 'doctor', thinking_content: 'hm', step_number: 1 },
  tool_executing: { execution_id: 'x', tool_name: 'decode', tool_args: {} },
  tool_completed: { execution_id: 'x', tool_name: 'decode', ok: true, result_summary: 'ok', duration_ms: 1 },
  agent_completed: { agent_id: 'doctor', final_response: 'the answer', execution_time_ms: 5 },
  agent_failed: { agent_id: 'doctor', error: { reason: 'RUN_LIMIT', message: 'too long', retryable: false } },
} as const;

function event(type: keyof typeof PAYLOADS, run = 'r1', thread = 't1'): void {
  raw(type, PAYLOADS[type], run, thread);
}

function raw(type: string, payload: unknown, run = 'r1', thread = 't1'): void {
  seq += 1;
  model.receive({ type, id: `e${seq}`, epoch: 'x', seq, thread_id: thread, run_id: run, timestamp: '', payload } as unknown as ServerMessage);
}

function accepted(message = 'm1', run = 'r1', thread = 't1'): void {
  const payload = { message_id: message, run_id: run, thread_id: thread, duplicate: false };
  model.receive({ type: 'message_accepted', id: 'c', timestamp: '', payload });
}

function only(): { thread: Thread; turn: Turn } {
  const [thread] = model.threads.value;
  const [turn] = thread?.turns.value ?? [];
  if (thread === undefined || turn === undefined) throw new Error('nothing there');
  expect(model.threads.value).toHaveLength(1);
  expect(thread.turns.value).toHaveLength(1);
  return { thread, turn };
}

const names = (turn: Turn) => turn.steps.value.map(({ type }) => type);

describe('a run', () => {
  test('goes from sending to completed, with its events in order and the final answer', () => {
    model.asked('t1', 'm1', 'why?');
    const { turn } = only();
    expect(turn.status.value).toBe('sending');
    accepted();
    expect(turn.status.value).toBe('accepted');
    event('agent_started');
    expect(turn.status.value).toBe('running');
    event('agent_thinking');
    event('tool_executing');
    event('tool_completed');
    raw('partial_result', { delta: 'the ' });
    raw('partial_result', { delta: 'ans' });
    expect(turn.answer.value).toBe('the ans');
    event('agent_completed');
    expect(turn.answer.value).toBe('the answer');
    expect(turn.status.value).toBe('completed');
    expect(names(turn)).toEqual(['agent_started', 'agent_thinking', 'tool_executing', 'tool_completed', 'agent_completed']);
  });

  test('that fails says why', () => {
    model.asked('t1', 'm1', 'why?');
    accepted();
    event('agent_started');
    event('agent_failed');
    const { turn } = only();
    expect(turn.status.value).toBe('failed');
    expect(turn.refusal.value).toMatchObject({ reason: 'RUN_LIMIT', detail: 'too long', source: 'event' });
  });

  test('that begins anew drops what it told before', () => {
    model.asked('t1', 'm1', 'why?');
    accepted();
    event('agent_started');
    event('tool_executing');
    raw('partial_result', { delta: 'the first ' });
    event('tool_completed');
    raw('agent_started', { ...PAYLOADS.agent_started, attempt: 2 });
    const { turn } = only();
    expect(turn).toMatchObject({ question: 'why?', answer: { value: '' }, status: { value: 'running' } });
    expect(names(turn)).toEqual(['agent_started']);
    raw('partial_result', { delta: 'the ans' });
    expect(turn.answer.value).toBe('the ans');
    event('agent_completed');
    expect(names(turn)).toEqual(['agent_started', 'agent_completed']);
  });

  test('whose events overtake the acknowledgement is joined with its question', () => {
    model.asked('t1', 'm1', 'why?');
    event('agent_started');
    accepted();
    event('agent_completed');
    const { turn } = only();
    expect(turn.question).toBe('why?');
    expect(names(turn)).toEqual(['agent_started', 'agent_completed']);
    expect(turn.status.value).toBe('completed');
  });

  test('of another device gets a thread of its own, without a question', () => {
    event('agent_started', 'r9', 't9');
    event('agent_completed', 'r9', 't9');
    const { thread, turn } = only();
    expect(thread.id).toBe('t9');
    expect(turn.question).toBeUndefined();
    expect(turn.status.value).toBe('completed');
  });

  test('events of interleaved runs stay apart', () => {
    model.asked('t1', 'm1', 'one');
    model.asked('t2', 'm2', 'two');
    accepted('m1', 'r1', 't1');
    accepted('m2', 'r2', 't2');
    for (const type of ['agent_started', 'agent_thinking', 'agent_completed'] as const) {
      event(type, 'r1', 't1');
      event(type, 'r2', 't2');
    }
    for (const thread of model.threads.value) {
      expect(thread.turns.value.map(names)).toEqual([['agent_started', 'agent_thinking', 'agent_completed']]);
    }
  });
});

function said(message: string, run: string, content?: string, thread = 't1'): void {
  raw('user_message', { message_id: message, run_id: run, ...(content !== undefined && { content }) }, run, thread);
}

describe('what was asked', () => {
  test('here stays as it was typed, and is not shown twice', () => {
    model.asked('t1', 'm1', 'is eyJhbGciOi good?');
    said('m1', 'r1', 'is [jwt 1a2b3c4d] good?');
    expect(only().turn.status.value).toBe('accepted');
    accepted();
    event('agent_started');
    event('agent_completed');
    const { thread, turn } = only();
    expect(turn.question).toBe('is eyJhbGciOi good?');
    expect(turn.told.value).toBeUndefined();
    expect(thread.title.value).toBe('is eyJhbGciOi good?');
    expect(names(turn)).toEqual(['agent_started', 'agent_completed']);
  });

  test('here is known by its id whichever comes first: its acceptance, its place in the stream, or events of its run', () => {
    const steps = [() => accepted(), () => said('m1', 'r1', 'why?'), () => event('agent_started')];
    for (const order of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
      model = new ChatModel();
      model.asked('t1', 'm1', 'why?');
      for (const index of order) steps[index]?.();
      const { turn } = only();
      expect(turn, String(order)).toMatchObject({ question: 'why?', runId: { value: 'r1' }, status: { value: 'running' } });
      expect(names(turn)).toEqual(['agent_started']);
    }
  });

  test('on another device is there at once, before its run begins, and names the conversation', () => {
    said('m9', 'r9', 'is [jwt 1a2b3c4d] good?\n\nplease', 't9');
    expect(only()).toMatchObject({
      thread: { id: 't9', title: { value: 'is [jwt 1a2b3c4d] good?' } },
      turn: { question: undefined, told: { value: 'is [jwt 1a2b3c4d] good?\n\nplease' }, status: { value: 'accepted' } },
    });
    event('agent_started', 'r9', 't9');
    event('agent_completed', 'r9', 't9');
    expect(only().turn.status.value).toBe('completed');
  });

  test('is not taken for what was said to the run meanwhile', () => {
    said('m1', 'r1', 'one');
    event('agent_started');
    said('s1', 'r1', 'only the last hour');
    said('s2', 'r1', 'and in German');
    event('agent_completed');
    expect(only().turn).toMatchObject({
      told: { value: 'one' },
      heard: { value: ['only the last hour', 'and in German'] },
      status: { value: 'completed' },
    });
  });

  test('while another run goes on keeps its place, and each run goes to its own question', () => {
    said('m1', 'r1', 'one');
    event('agent_started', 'r1');
    said('m2', 'r2', 'two');
    event('agent_completed', 'r1');
    event('agent_started', 'r2');
    event('agent_completed', 'r2');
    const turns = model.thread('t1')?.turns.value ?? [];
    expect(turns.map(({ told }) => told.value)).toEqual(['one', 'two']);
    expect(turns.map(names)).toEqual([['agent_started', 'agent_completed'], ['agent_started', 'agent_completed']]);
    expect(model.thread('t1')?.title.value).toBe('one');
  });

  test('of an agent that keeps no words is a question without words', () => {
    model.earlier([{ thread_id: 't1', epoch: 'x', last_seq: 3, updated_at: '', last_event: 'agent_completed', preview: 'the answer' }]);
    said('m1', 'r1');
    event('agent_started');
    event('agent_completed');
    const { thread, turn } = only();
    expect([turn.question, turn.told.value]).toEqual([undefined, undefined]);
    expect(thread.title.value).toBe('the answer');
  });
});

describe('refusals', () => {
  test('of a question are shown at that question', () => {
    model.asked('t1', 'm1', 'one');
    model.asked('t1', 'm2', 'two');
    const payload = { reason: 'RATE_LIMITED', title: 'Too many', message: 'wait', retry: 'backoff', request_id: 'q', message_id: 'm2' } as const;
    model.receive({ type: 'error', id: 'c', timestamp: '', payload });
    const turns = model.thread('t1')?.turns.value ?? [];
    expect(turns.map((turn) => turn.status.value)).toEqual(['sending', 'refused']);
    expect(turns[1]?.refusal.value).toMatchObject({ reason: 'RATE_LIMITED', requestId: 'q', detail: 'wait' });
  });

  test('a gap is told where a run was waited for, and only there', () => {
    const gap = (thread_id: string) =>
      model.receive({ type: 'resume_gap', id: 'c', timestamp: '', payload: { thread_id, last_seq: 0, reason: 'trimmed' } });
    model.asked('t1', 'm1', 'one');
    accepted();
    event('agent_started');
    event('agent_completed');
    gap('t1');
    expect(model.thread('t1')?.notice.value).toBeUndefined();
    model.asked('t2', 'm2', 'two');
    accepted('m2', 'r2', 't2');
    gap('t2');
    expect(model.thread('t2')?.notice.value).toContain('no longer kept');
  });
});

test('titles are the first line, cut at a word', () => {
  model.asked('t1', 'm1', 'short\nand more');
  model.asked('t2', 'm2', `${'word '.repeat(30)}end`);
  expect(model.thread('t1')?.title.value).toBe('short');
  expect(model.thread('t2')?.title.value).toMatch(/^(word )+word…$/);
});
