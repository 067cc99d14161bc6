// With @portcullis/client, which resumes, reconnects as each reason advises, and replaces the token before its end.

import { Client, RefusedError } from '@portcullis/client';

/** Your own service that hands out tokens. `fresh` asks for another one than the last. */
export type TokenSource = (fresh: boolean) => Promise<string>;

export interface Chat {
  ask(question: string): void;
  close(): void;
}

export function chat(gateway: string, token: TokenSource, show: (text: string) => void): Chat {
  const client = new Client({
    gateway,
    token: async ({ purpose }) => {
      try {
        return await token(purpose !== 'connect');
      } catch (error) {
        // Passed on as it is, so that the reason stays; anything else becomes TOKEN_UNAVAILABLE.
        throw error instanceof RefusedError ? error : new Error('no token to be had');
      }
    },
  });

  client.on('message', (message) => {
    switch (message.type) {
      case 'partial_result':
        show(message.payload.delta);
        break;
      case 'agent_failed':
        show(message.payload.error.message);
        break;
      default:
    }
  });
  client.on('state', (state) => {
    if ((state.status === 'closed' || state.status === 'waiting') && state.refusal !== undefined) {
      const { title, remedy, requestId } = state.refusal;
      show(`\n${title}. ${remedy}${requestId === undefined ? '' : ` (request ${requestId})`}\n`);
    }
  });
  client.connect();
  return {
    ask: (question) => void client.ask(question),
    close: () => client.close(),
  };
}
