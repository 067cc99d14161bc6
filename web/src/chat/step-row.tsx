/** One event of a run as a row: what it is in words, its name on the wire, and its data to unfold. */

import type { ComponentChildren } from 'preact';
import { MarkdownLine } from '../ui/markdown.tsx';
import { Icon } from '../ui/parts.tsx';
import type { Step } from './model.ts';

export function StepRow({ step }: { step: Step }) {
  const { icon, tone, line, data } = describe(step);
  return (
    <li class={`step ${tone}`} data-event={step.type} data-seq={step.seq}>
      <span class="mark">
        <Icon name={icon} />
      </span>
      <div class="what">
        {data === undefined ? (
          <p class="line">{line}</p>
        ) : (
          <details>
            <summary class="line">{line}</summary>
            <pre tabIndex={0}>
              <code>{pretty(data)}</code>
            </pre>
          </details>
        )}
      </div>
      <code class="event-name">{step.type}</code>
    </li>
  );
}

interface Description {
  readonly icon: Parameters<typeof Icon>[0]['name'];
  readonly tone: 'plain' | 'good' | 'bad' | 'soft';
  readonly line: ComponentChildren;
  readonly data?: unknown;
}

function describe(step: Step): Description {
  switch (step.type) {
    case 'agent_started':
      return {
        icon: 'play',
        tone: 'plain',
        line: (
          <>
            Agent <strong>{step.payload.agent_id}</strong> {step.payload.attempt === undefined ? 'started' : 'starts anew: the server was restarted'}
          </>
        ),
      };
    case 'agent_thinking':
      return { icon: 'thought', tone: 'soft', line: <MarkdownLine source={step.payload.thinking_content} /> };
    case 'tool_executing':
      return {
        icon: 'tool',
        tone: 'plain',
        line: (
          <>
            Runs <strong>{step.payload.tool_name}</strong> <span class="preview">{preview(step.payload.tool_args)}</span>
          </>
        ),
        data: step.payload.tool_args,
      };
    case 'tool_completed': {
      const { ok, result, result_summary: summary, duration_ms: ms, tool_name: tool } = step.payload;
      return {
        icon: ok ? 'check' : 'cross',
        tone: ok ? 'good' : 'bad',
        line: (
          <>
            <MarkdownLine source={summary === '' ? `${tool} ${ok ? 'is done' : 'failed'}` : summary} />{' '}
            <span class="time">{duration(ms)}</span>
          </>
        ),
        data: result ?? undefined,
      };
    }
    case 'agent_completed':
      return {
        icon: 'flag',
        tone: 'good',
        line: (
          <>
            Answered <span class="time">in {duration(step.payload.execution_time_ms)}</span>
          </>
        ),
      };
    case 'agent_failed':
      return { icon: 'cross', tone: 'bad', line: step.payload.error.message };
    case 'approval_requested':
      return {
        icon: 'hand',
        tone: 'plain',
        line: (
          <>
            Asks whether it may run <strong>{step.payload.tool_name}</strong>
          </>
        ),
        data: step.payload.tool_args,
      };
    case 'approval_resolved':
      return { icon: 'hand', tone: 'plain', line: `The question about ${step.payload.tool_name} was ${step.payload.resolution}` };
    default:
      return step satisfies never;
  }
}

function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function pretty(data: unknown): string {
  return typeof data === 'string' ? data : JSON.stringify(data, null, 2);
}

function preview(data: unknown): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  return text.length > PREVIEW_LENGTH ? `${text.slice(0, PREVIEW_LENGTH)}…` : text;
}

const PREVIEW_LENGTH = 72;
