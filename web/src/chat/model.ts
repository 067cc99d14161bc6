/** What was asked and what came of it: threads of turns, fed with the server's messages. Knows no network and no DOM. */

import { type ReadonlySignal, type Signal, signal } from '@preact/signals';
import {
  catalogueRefusal,
  isReason,
  localRefusal,
  noticeRefusal,
  type Refusal,
  type ServerEvent,
  type ServerMessage,
  type ThreadSummary,
} from '@portcullis/client';
import { Answer } from './answer.ts';

/** An event that has a row of its own in the transcript; questions and pieces of answers have other places. */
export type Step = Exclude<ServerEvent, { readonly type: 'user_message' | 'partial_result' }>;

export type TurnStatus = 'sending' | 'accepted' | 'running' | 'completed' | 'failed' | 'refused';

/** One question and its run. */
export interface Turn {
  readonly key: string;
  /** As it was typed here; absent where it was asked on another of the user's devices, or before this page was loaded. */
  readonly question: string | undefined;
  /** As the server tells it to all devices: what may be a credential is replaced, and some agents keep no words at all. */
  readonly told: Signal<string | undefined>;
  /** What was said to the run while it went on, as its agent heard it. */
  readonly heard: Signal<readonly string[]>;
  readonly runId: Signal<string | undefined>;
  readonly status: Signal<TurnStatus>;
  readonly steps: Signal<readonly Step[]>;
  readonly answer: Answer;
  readonly refusal: Signal<Refusal | undefined>;
}

export interface Thread {
  readonly id: string;
  readonly title: Signal<string>;
  readonly turns: Signal<readonly Turn[]>;
  /** Something the reader should know about this thread's history. */
  readonly notice: Signal<string | undefined>;
  /** Known from the server's list alone: its events have not been asked for. */
  readonly listed: Signal<boolean>;
}

export class ChatModel {
  readonly #threads = signal<readonly Thread[]>([]);
  readonly #byRun = new Map<string, Turn>();
  /** The message that each run answers. */
  readonly #questions = new Map<string, string>();
  readonly #byMessage = new Map<string, { readonly thread: Thread; readonly turn: Turn }>();

  /** The thread that was begun last comes first. */
  get threads(): ReadonlySignal<readonly Thread[]> {
    return this.#threads;
  }

  thread(id: string): Thread | undefined {
    return this.#threads.value.find((thread) => thread.id === id);
  }

  /** Notes the threads that the server keeps, the one that moved last first. What the page knows already stays as it is. */
  earlier(threads: readonly ThreadSummary[]): void {
    const fresh = threads.filter(({ thread_id: id }) => this.#threads.peek().every((thread) => thread.id !== id));
    const listed = fresh.map(({ thread_id: id, preview }) => newThread(id, preview === undefined ? 'Earlier conversation' : headline(preview), true));
    this.#threads.value = [...this.#threads.peek(), ...listed];
  }

  /** Forgets a thread that is gone. */
  remove(threadId: string): void {
    for (const turn of this.thread(threadId)?.turns.peek() ?? []) {
      this.#byMessage.delete(turn.key);
      const runId = turn.runId.peek();
      if (runId !== undefined) {
        this.#byRun.delete(runId);
        this.#questions.delete(runId);
      }
    }
    this.#threads.value = this.#threads.peek().filter(({ id }) => id !== threadId);
  }

  /** Notes a question that was sent. */
  asked(threadId: string, messageId: string, question: string): void {
    const thread = this.#open(threadId);
    if (thread.turns.peek().length === 0) thread.title.value = headline(question);
    const turn = newTurn(messageId, question);
    this.#byMessage.set(messageId, { thread, turn });
    thread.turns.value = [...thread.turns.peek(), turn];
  }

  /** Notes that a question was turned down, by the server or before it got there. */
  refused(messageId: string, refusal: Refusal): void {
    const asked = this.#byMessage.get(messageId);
    if (asked === undefined) return;
    asked.turn.refusal.value = refusal;
    asked.turn.status.value = 'refused';
  }

  receive(message: ServerMessage): void {
    switch (message.type) {
      case 'message_accepted':
        this.#accepted(message.payload.message_id, message.payload.run_id);
        return;
      case 'error': {
        const id = message.payload.message_id;
        if (id !== undefined) this.refused(id, noticeRefusal(message.payload));
        return;
      }
      case 'resume_gap': {
        const thread = this.thread(message.payload.thread_id);
        if (thread !== undefined) this.#forgotten(thread);
        return;
      }
      case 'user_message':
        this.#said(message);
        return;
      case 'agent_started':
      case 'agent_thinking':
      case 'tool_executing':
      case 'tool_completed':
      case 'partial_result':
      case 'agent_completed':
      case 'agent_failed':
      case 'approval_requested':
      case 'approval_resolved':
        this.#event(message);
        return;
      case 'connection_established':
      case 'token_expiring':
      case 'resumed':
      case 'draining':
      case 'pong':
        return;
      default:
        // A type of a later version; changes are additive.
        message satisfies never;
    }
  }

  /** A question, as all of the user's devices hear it. The one that it was asked on has it already. */
  #said({ thread_id: threadId, payload: { message_id: messageId, run_id: runId, content } }: ServerEvent<'user_message'>): void {
    this.#accepted(messageId, runId);
    const question = this.#questions.get(runId) ?? messageId;
    this.#questions.set(runId, question);
    if (question !== messageId) {
      const heard = this.#byRun.get(runId)?.heard;
      if (heard !== undefined && content !== undefined) heard.value = [...heard.peek(), content];
      return;
    }
    if (this.#byMessage.has(messageId)) return;
    const thread = this.#open(threadId);
    const turn = this.#byRun.get(runId) ?? this.#elsewhere(thread, runId);
    turn.told.value = content;
    if (turn.status.peek() === 'sending') turn.status.value = 'accepted';
    if (content !== undefined && thread.turns.peek()[0] === turn) thread.title.value = headline(content);
  }

  #event(event: Exclude<ServerEvent, { readonly type: 'user_message' }>): void {
    const turn = this.#byRun.get(event.run_id) ?? this.#elsewhere(this.#open(event.thread_id), event.run_id);
    if (event.type === 'partial_result') {
      turn.status.value = 'running';
      turn.answer.append(event.payload.delta);
      return;
    }
    if (event.type === 'agent_started') {
      // The run begins, or begins anew after a restart of the server: what it told before counts no more.
      turn.steps.value = [];
      turn.answer.replace('');
    }
    turn.steps.value = [...turn.steps.peek(), event];
    switch (event.type) {
      case 'agent_completed':
        turn.answer.replace(event.payload.final_response);
        turn.status.value = 'completed';
        return;
      case 'agent_failed':
        turn.refusal.value = failure(event.payload.error);
        turn.status.value = 'failed';
        return;
      case 'agent_started':
      case 'agent_thinking':
      case 'tool_executing':
      case 'tool_completed':
      case 'approval_requested':
      case 'approval_resolved':
        turn.status.value = 'running';
        return;
      default:
        event satisfies never;
    }
  }

  #accepted(messageId: string, runId: string): void {
    const asked = this.#byMessage.get(messageId);
    if (asked === undefined) return;
    const { thread, turn } = asked;
    const early = this.#byRun.get(runId);
    if (early !== undefined && early !== turn) {
      // The run's first events overtook the acknowledgement: they move to the question that they answer.
      turn.steps.value = early.steps.peek();
      turn.answer.replace(early.answer.value);
      turn.refusal.value = early.refusal.peek();
      thread.turns.value = thread.turns.peek().filter((other) => other !== early);
    }
    this.#byRun.set(runId, turn);
    turn.runId.value = runId;
    if (early !== undefined) turn.status.value = early.status.peek();
    else if (turn.status.peek() === 'sending') turn.status.value = 'accepted';
  }

  /** A run that was started elsewhere: another tab or device of the same user. */
  #elsewhere(thread: Thread, runId: string): Turn {
    const turn = newTurn(runId, undefined);
    turn.runId.value = runId;
    this.#byRun.set(runId, turn);
    thread.turns.value = [...thread.turns.peek(), turn];
    return turn;
  }

  /** What was missed is not to be had any more: say so, and let no turn wait for ever. */
  #forgotten(thread: Thread): void {
    if (thread.turns.peek().length === 0) {
      thread.notice.value = 'This conversation is no longer kept by the server.';
      return;
    }
    const waiting = thread.turns.peek().filter((turn) => turn.status.peek() === 'running' || turn.status.peek() === 'accepted');
    if (waiting.length === 0) return;
    thread.notice.value = 'Some events of this conversation were missed and are no longer kept by the server.';
  }

  #open(threadId: string): Thread {
    const known = this.#threads.peek().find((thread) => thread.id === threadId);
    if (known !== undefined) return known;
    const thread = newThread(threadId, 'From another device', false);
    this.#threads.value = [thread, ...this.#threads.peek()];
    return thread;
  }
}

function newThread(id: string, title: string, listed: boolean): Thread {
  return {
    id,
    title: signal(title),
    turns: signal<readonly Turn[]>([]),
    notice: signal<string | undefined>(undefined),
    listed: signal(listed),
  };
}

function newTurn(key: string, question: string | undefined): Turn {
  return {
    key,
    question,
    told: signal<string | undefined>(undefined),
    heard: signal<readonly string[]>([]),
    runId: signal<string | undefined>(undefined),
    status: signal<TurnStatus>('sending'),
    steps: signal<readonly Step[]>([]),
    answer: new Answer(),
    refusal: signal<Refusal | undefined>(undefined),
  };
}

function failure(error: { readonly reason: string; readonly message: string }): Refusal {
  const extra = error.message === '' ? {} : { detail: error.message };
  return isReason(error.reason)
    ? catalogueRefusal(error.reason, 'event', extra)
    : { ...localRefusal('UNKNOWN', extra), source: 'event' };
}

/** A title for the list: the first line, cut at a word. */
function headline(question: string): string {
  const line = question.trim().split('\n', 1)[0] ?? '';
  if (line.length <= TITLE_LENGTH) return line;
  const cut = line.slice(0, TITLE_LENGTH);
  const word = cut.lastIndexOf(' ');
  return `${word > TITLE_LENGTH / 2 ? cut.slice(0, word) : cut}…`;
}

const TITLE_LENGTH = 48;
