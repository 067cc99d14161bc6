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
