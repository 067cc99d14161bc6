/** What the mock's agent says: the events of one run, each with the pause before it in milliseconds. */

export interface Line {
  readonly after: number;
  readonly type: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

export function scriptFor(user: string, question: string, fails: boolean): Line[] {
  const agent_id = 'doctor';
  const opening: Line[] = [
    { after: 40, type: 'agent_started', payload: { agent_id, agent_type: 'builtin', user_id: user } },
    {
      after: 250,
      type: 'agent_thinking',
      payload: { agent_id, thinking_content: 'The message carries something like a token. I decode it first.', step_number: 1 },
    },
    {
      after: 250,
      type: 'tool_executing',
      payload: { execution_id: 'x1', tool_name: 'decode_token', tool_args: { token: 'eyJh…YSI (62 characters)', verify: false } },
    },
    {
      after: 350,
      type: 'tool_completed',
      payload: {
        execution_id: 'x1',
        tool_name: 'decode_token',
        ok: true,
        result_summary: 'Two parts instead of three: the signature is missing',
        result: { parts: 2, header: { alg: 'HS256', typ: 'JWT' }, findings: ['not three parts', 'the payload is cut off'] },
        duration_ms: 3,
      },
    },
    {
      after: 250,
      type: 'agent_thinking',
      payload: { agent_id, thinking_content: 'That is TOKEN_MALFORMED. I look up what it means.', step_number: 2 },
    },
    {
      after: 150,
      type: 'tool_executing',
      payload: { execution_id: 'x2', tool_name: 'explain_reason', tool_args: { reason: 'TOKEN_MALFORMED' } },
    },
  ];
  if (fails) {
    const error = { reason: 'AGENT_ERROR', message: 'The tool explain_reason did not answer.', retryable: true };
    const failed = { execution_id: 'x2', tool_name: 'explain_reason', ok: false, result_summary: 'No answer', duration_ms: 900 };
    return [
      ...opening,
      { after: 400, type: 'tool_completed', payload: failed },
      { after: 50, type: 'agent_failed', payload: { agent_id, error } },
    ];
  }
  const answer = answerTo(question);
  const deltas = answer.match(/\S+\s*/g) ?? [];
  return [
    ...opening,
    {
      after: 200,
      type: 'tool_completed',
      payload: {
        execution_id: 'x2',
        tool_name: 'explain_reason',
        ok: true,
        result_summary: 'TOKEN_MALFORMED: 401 at the handshake, close code 1008 afterwards',
        result: { reason: 'TOKEN_MALFORMED', status: 401, close: 1008 },
        duration_ms: 1,
      },
    },
    ...deltas.map((delta) => ({ after: 22, type: 'partial_result', payload: { delta } })),
    { after: 60, type: 'agent_completed', payload: { agent_id, final_response: answer } },
  ];
}

function answerTo(question: string): string {
  return `## The token is cut off: \`TOKEN_MALFORMED\`

What you pasted (${question.length} characters) has **two parts instead of three**: header and payload are there, the signature is missing.

1. Copy the token as a whole; terminals like to cut long lines.
2. Send it in this form:

\`\`\`js
new WebSocket(url, ['jwt-auth', 'jwt.' + base64url(token)])
\`\`\`

| seen in the browser | meaning |
|---|---|
| \`1006\` | the handshake was refused, and the browser hides why |
| \`1008\` | a credential was refused in a live connection |

> Ask \`/ws/preflight\` with the same protocols: it tells the reason that the browser hides.`;
}
