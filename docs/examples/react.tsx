import { Client, type ConnectionState } from '@portcullis/client';
import { type FormEvent, useEffect, useRef, useState } from 'react';

interface Props {
  readonly gateway: string;
  readonly token: (fresh: boolean) => Promise<string>;
}

export function Chat({ gateway, token }: Props) {
  const client = useRef<Client>(undefined);
  // The callback may change with every render; the connection must not.
  const latest = useRef(token);
  latest.current = token;
  const [state, setState] = useState<ConnectionState>({ status: 'idle' });
  const [answer, setAnswer] = useState('');

  useEffect(() => {
    const mine = new Client({ gateway, token: ({ purpose }) => latest.current(purpose !== 'connect') });
    mine.on('state', setState);
    mine.on('message', (message) => {
      if (message.type === 'agent_started') setAnswer('');
      if (message.type === 'partial_result') setAnswer((text) => text + message.payload.delta);
      if (message.type === 'agent_completed') setAnswer(message.payload.final_response);
      if (message.type === 'agent_failed') setAnswer(message.payload.error.message);
    });
    mine.connect();
    client.current = mine;
    return () => mine.close();
  }, [gateway]);

  const ask = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const question = new FormData(event.currentTarget).get('question');
    if (typeof question === 'string' && question !== '') client.current?.ask(question);
    event.currentTarget.reset();
  };

  const refusal = state.status === 'waiting' || state.status === 'closed' ? state.refusal : undefined;
  return (
    <form onSubmit={ask}>
      {refusal && (
        <p role="alert">
          {refusal.title}. {refusal.remedy} {refusal.requestId && <small>Request {refusal.requestId}</small>}
        </p>
      )}
      <p role="log">{answer}</p>
      <input name="question" aria-label="Your question" />
      <button disabled={state.status !== 'live'}>Send</button>
    </form>
  );
}
