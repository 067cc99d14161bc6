// A client on a fake gateway, and what it told: made anew for each test.
import { beforeEach, expect } from 'vitest';
import { Client } from '../src/index.js';
import type { ClientOptions, ConnectionState, ServerMessage, TokenRequest } from '../src/index.js';
import { FakeGateway, settle } from './fakeGateway.js';

export let gateway: FakeGateway;
export let requests: TokenRequest[];
export let states: ConnectionState[];
export let messages: ServerMessage[];

beforeEach(() => {
  gateway = new FakeGateway();
  requests = [];
  states = [];
  messages = [];
});

export function client(options: Partial<ClientOptions> = {}): Client {
  const made = new Client({
    gateway: 'http://gate.test:8000',
    token: (request) => {
      requests.push(request);
      return `token-${requests.length}`;
    },
    environment: gateway.environment(),
    ...options,
  });
  made.on('state', (state) => states.push(state));
  made.on('message', (message) => messages.push(message));
  return made;
}

export async function connected(options: Partial<ClientOptions> = {}): Promise<Client> {
  const made = client(options);
  made.connect();
  await settle();
  expect(made.state.status).toBe('live');
  return made;
}

export function refusalIn(state: ConnectionState) {
  return state.status === 'waiting' || state.status === 'closed' ? state.refusal : undefined;
}

export const statuses = () => states.map(({ status }) => status);
