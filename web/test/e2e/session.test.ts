/** A session's life in the page: tokens that end in the middle of an answer, and sessions that somebody else ends. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Person } from './browser.ts';
import { ADA, BOB } from './people.ts';
import { Server } from './server.ts';
import { visitors } from './visitors.ts';

let server: Server;
const visitor = visitors(() => server.gateway);

beforeAll(async () => {
  // As short as an access token may be, so that one ends while the test asks.
  server = await Server.start(
    { [ADA.name]: ADA.password, [BOB.name]: BOB.password },
    '[auth]\naccess_ttl = "10s"\n[token]\nleeway = "0s"\n',
  );
});

afterAll(() => server?.remove());

interface Wire {
  readonly type: string;
  readonly epoch?: string;
  readonly seq?: number;
  readonly thread_id?: string;
  readonly run_id?: string;
  readonly payload: Record<string, unknown>;
}

/** What goes over the sockets of a page: how many there were, and the messages in both directions. */
function listen(person: Person): { sockets: number; sent: Wire[]; received: Wire[] } {
  const heard = { sockets: 0, sent: [] as Wire[], received: [] as Wire[] };
  person.page.on('websocket', (socket) => {
    heard.sockets += 1;
    socket.on('framesent', ({ payload }) => heard.sent.push(JSON.parse(String(payload)) as Wire));
    socket.on('framereceived', ({ payload }) => heard.received.push(JSON.parse(String(payload)) as Wire));
  });
  return heard;
}

/** The messages by what they have in a member, each group in their order. */
function groups(messages: readonly Wire[], member: 'thread_id' | 'run_id'): Wire[][] {
  const found = new Map<string | undefined, Wire[]>();
  for (const message of messages) found.set(message[member], [...(found.get(message[member]) ?? []), message]);
  return [...found.values()];
}

test('tokens end while answers stream: each is replaced in the live connection, and not a word is lost or repeated', async () => {
  const ada = await visitor();
  const heard = listen(ada);
  await ada.enter(ADA);
  const began = Date.now();
  let asked = 0;
  // Two lives of a token, so that the one that the connection began with is long over.
  while (Date.now() - began < 21_000) {
    await ada.ask(`Why does my browser only say 1006? (${asked})`);
    asked += 1;
    await expect.poll(() => heard.received.filter(({ type }) => type === 'agent_completed').length, { timeout: 20_000 }).toBe(asked);
  }
  expect(heard.sent.filter(({ type }) => type === 'reauthenticate').length, 'tokens were replaced').toBeGreaterThanOrEqual(2);
  expect(heard.sockets, 'in one and the same connection').toBe(1);
  expect(heard.received.filter(({ type }) => type === 'error' || type === 'agent_failed')).toEqual([]);

  for (const events of groups(heard.received.filter(({ seq }) => seq !== undefined), 'thread_id')) {
    expect(events.map(({ seq }) => seq), 'no gap, no repeat').toEqual(events.map((_, index) => index + 1));
  }
  for (const events of groups(heard.received, 'run_id')) {
    const whole = events.find(({ type }) => type === 'agent_completed')?.payload['final_response'];
    if (whole === undefined) continue;
    const pieces = events.filter(({ type }) => type === 'partial_result').map(({ payload }) => payload['delta']);
    expect(pieces.join(''), 'the pieces are the answer').toBe(whole);
  }
  expect(await ada.page.getByTestId('answer').count()).toBeGreaterThan(0);
  expect(await ada.page.getByRole('alert').count()).toBe(0);
});

test('a session that an operator ends says so, with what to do, and another user goes on', async () => {
  const ada = await visitor();
  const bob = await visitor();
  await ada.enter(ADA);
  await bob.enter(BOB);
  server.run('users', 'logout', ADA.name);
  const { reason, text } = await ada.refusal();
  expect(reason).toBe('TOKEN_REVOKED');
  expect(text).toContain('What to do:');
  // No request was refused: a live connection was ended, and the log knows it by its own name.
  expect(text).toMatch(/connection c-\S+/);
  await ada.screenshot('revoked');

  await bob.ask('What does 1008 mean?');
  await bob.page.locator('[data-event="agent_completed"]').waitFor();

  await ada.page.getByRole('button', { name: 'Sign in again' }).click();
  await ada.enter(ADA);
});

test('signing out ends the session in every tab that lives by it, and in no other', async () => {
  const ada = await visitor();
  await ada.enter(ADA);
  const elsewhere = await visitor();
  await elsewhere.enter(ADA);
  await ada.page.getByRole('button', { name: 'Sign out' }).click();
  await ada.page.getByLabel('User name').waitFor();
  await elsewhere.ask('What is NO_TOKEN?');
  await elsewhere.page.locator('[data-event="agent_completed"]').waitFor();
});
