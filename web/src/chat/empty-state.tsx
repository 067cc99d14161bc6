/** Before the first question: what this is for, and examples to start from. */

import { useRef } from 'preact/hooks';

export function EmptyState({ onPick }: { onPick: (text: string) => void }) {
  const list = useRef<HTMLUListElement>(null);
  return (
    <div class="empty">
      <h2>What went wrong at the handshake?</h2>
      <p>
        Paste a token, a close code, a log line or response headers, or just ask. The agent shows each step it takes and ends with
        what to change.
      </p>
      <ul class="examples" ref={list}>
        {EXAMPLES.map(({ label, note, text }) => (
          <li key={label}>
            <button type="button" class="example" onClick={() => onPick(text)}>
              <strong>{label}</strong>
              <span>{note}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

const EXAMPLES = [
  {
    label: 'Why does my browser only say 1006?',
    note: 'What a browser hides about a failed handshake',
    text: 'Why does my browser only say 1006?',
  },
  {
    label: 'What is wrong with this token?',
    note: 'Decodes a pasted JWT, without its signature',
    text: 'What is wrong with this token?\n\njwt.eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEi',
  },
  {
    label: "My front end sends ['jwt', token]",
    note: 'The form in which a token may travel',
    text: "My front end opens new WebSocket(url, ['jwt', token]) and the server says NO_TOKEN. What should it send?",
  },
  {
    label: 'We close with 1011 when a token is bad',
    note: 'Which close code says what, and to whom',
    text: 'Our server closes with 1011 when a token is malformed. Is that right?',
  },
] as const;
