// A chat over graphql-ws, right, or wrong in one way: DEFECT names it. Prints the port that it listens on.

import { EventEmitter, on } from 'node:events';

import { buildSchema } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';

import { DEFECT, verify } from './common.mjs';
import { gate } from './gate.mjs';

const schema = buildSchema(`
  type Said { room: ID!, user: ID!, text: String! }
  type Query { hello: String }
  type Subscription {
    "Asks, and gives the answer piece by piece."
    ask(room: ID!, text: String!): Said!
    "Everything that is said to the user."
    said: Said!
  }
`);

const chat = new EventEmitter().setMaxListeners(0);

async function* ask({ room }, { sub }) {
  for (const text of ['4', '2']) {
    const said = { room, user: sub, text };
    chat.emit('said', said);
    yield { ask: said };
  }
  // An agent that never says that it is done.
  if (DEFECT === 'never-completes') await new Promise(() => {});
}

async function* said(_, { sub }) {
  for await (const [said] of on(chat, 'said')) {
    if (said.user === sub || DEFECT === 'broadcast') yield { said };
  }
}

const wss = gate('graphql-transport-ws', ['on-connect', 'on-connect-hangs']);

useServer(
  {
    schema,
    roots: { subscription: { ask, said } },
    context: ({ extra }) => extra.request.claims ?? { sub: 'anybody' },
    onConnect: ({ connectionParams, extra }) => {
      if (DEFECT === 'on-connect-hangs') return new Promise(() => {});
      if (DEFECT !== 'on-connect') return true;
      extra.request.claims = verify(connectionParams?.token ?? '');
      return extra.request.claims !== null;
    },
  },
  wss,
);
