/** Conversations that are kept: there after a reload, stopped from another tab, deleted for good; and the way around a blocked WebSocket. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Person } from './browser.ts';
import { ADA, BOB } from './people.ts';
import { Server } from './server.ts';
import { visitors } from './visitors.ts';

/** Two parts instead of three. */
const MALFORMED = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEifQ';

let server: Server;
const visitor = visitors(() => server.gateway);

beforeAll(async () => {
  server = await Server.start({ [ADA.name]: ADA.password, [BOB.name]: BOB.password });
});

afterAll(() => server?.remove());

async function enter(user = ADA): Promise<Person> {
  const person = await visitor();
  await person.enter(user);
  return person;
}

const finished = (person: Person) => person.page.locator('[data-event="agent_completed"]').last().waitFor();

const conversations = (person: Person) => person.page.getByRole('navigation', { name: 'Conversations' }).getByRole('listitem');

/** What was asked in the open conversation, as this page shows it. */
const questions = async (person: Person) =>
  (await person.page.locator('.question').allInnerTexts()).map((text) => text.replace(/^You:\s*/, '').trim());

const rows = (person: Person) =>
  person.page.locator('[data-event]').evaluateAll((all) => all.map((row) => `${row.getAttribute('data-event')} ${row.getAttribute('data-seq')}`));

test('what was said is there after a reload, and goes on', async () => {
  const ada = await enter();
  await ada.ask('What does close code 1006 mean?');
  await finished(ada);
  const before = await rows(ada);
  const answer = await ada.page.getByTestId('answer').innerText();

  await ada.page.reload();
  await ada.enter(ADA);
  const listed = conversations(ada).getByRole('button', { name: /1006/ }).first();
  await listed.click();
  await finished(ada);
  expect(await rows(ada), 'the same events, in their order').toEqual(before);
  expect(await ada.page.getByTestId('answer').innerText()).toBe(answer);
  await ada.screenshot('history-after-reload');
  await ada.ask('And what is 1008?');
  await expect.poll(() => ada.page.locator('[data-event="agent_completed"]').count()).toBe(2);

  const bob = await enter(BOB);
  await bob.page.getByText('What you ask appears here').waitFor();
  expect(await conversations(bob).count(), 'nobody else sees it').toBe(0);
});

test('what was asked is on every device at once, and once; credentials in it stay where they were typed', async () => {
  const asked = `Why is this token refused? ${MALFORMED}`;
  const here = await enter();
  const there = await enter();
  await here.ask(asked);
  const listed = /^Why is this token refused\?/;
  await conversations(there).getByRole('button', { name: listed }).click();
  await finished(here);
  await finished(there);
  expect(await questions(here), 'as it was typed').toEqual([asked]);
  const [told, ...more] = await questions(there);
  expect(told).toMatch(/^Why is this token refused\? \[jwt [0-9a-f]{8}\]$/);
  expect(more).toEqual([]);

  await here.page.reload();
  await here.enter(ADA);
  await conversations(here).getByRole('button').first().click();
  await finished(here);
  expect(await questions(here), 'after a reload: what the record has').toEqual([told]);
  await conversations(here).getByRole('button', { name: listed }).waitFor();
  await here.screenshot('asked-after-reload');
});

test('what was asked elsewhere while the line was cut is there after a resume, in its place', async () => {
  const here = await enter();
  const there = await visitor();
  let cut = () => {};
  let hold = false;
  let connect = () => {};
  await there.page.routeWebSocket(/\/ws/, (socket) => {
    connect = () => {
      socket.connectToServer();
      // As a line that breaks: no close frame, no reason.
      cut = () => void socket.close({ code: 3999, reason: '' });
    };
    if (!hold) connect();
  });
  await there.enter(ADA);
  await here.ask('What does 1012 mean?');
  await conversations(there).getByRole('button', { name: /^What does 1012 mean/ }).click();
  await finished(there);
  hold = true;
  cut();
  await there.page.locator('[data-connection="connecting"]').waitFor();
  await here.ask('And what is 1013?');
  await expect.poll(() => here.page.locator('[data-event="agent_completed"]').count()).toBe(2);
  expect(await questions(there)).toEqual(['What does 1012 mean?']);
  hold = false;
  connect();
  await there.connected();
  await expect.poll(() => there.page.locator('[data-event="agent_completed"]').count()).toBe(2);
  expect(await questions(there)).toEqual(['What does 1012 mean?', 'And what is 1013?']);
  expect(await questions(here)).toEqual(['What does 1012 mean?', 'And what is 1013?']);
  expect(await rows(there)).toEqual(await rows(here));
});

test('a conversation that is deleted is gone here, on the server, and from the other tab’s list', async () => {
  const ada = await enter(BOB);
  await ada.ask('What is NO_TOKEN?');
  await finished(ada);
  const other = await enter(BOB);
  await conversations(other).first().waitFor();
  ada.page.once('dialog', (dialog) => void dialog.accept());
  await ada.page.getByRole('button', { name: /^Delete the conversation/ }).first().click();
  await expect.poll(() => conversations(ada).count()).toBe(0);
  // The other tab still lists it; whoever opens it there is told.
  await conversations(other).getByRole('button').first().click();
  await other.page.getByText('no longer kept by the server').waitFor();
  await ada.page.reload();
  await ada.signIn(BOB.name, BOB.password);
  await ada.page.getByText('What you ask appears here').waitFor();
});

test('a run is stopped here, or from another tab of the same user, and both see the same end', async () => {
  const slow = await Server.start({ [ADA.name]: ADA.password }, '[dev]\npace = "1s"\n');
  try {
    const people = [await visitor(slow.gateway), await visitor(slow.gateway)] as const;
    for (const person of people) {
      await person.enter(ADA);
    }
    const [ada, other] = people;
    for (const [round, stopper] of people.entries()) {
      await ada.ask('Why does my browser only say 1006?');
      await ada.page.locator('[data-event="agent_started"]').nth(round).waitFor();
      if (round === 1) await conversations(other).getByRole('button').first().click();
      await stopper.page.getByRole('button', { name: 'Stop' }).click();
      await ada.page.locator('[data-event="agent_failed"]').nth(round).waitFor();
      expect(await ada.page.getByText('The run was cancelled').count()).toBeGreaterThan(round);
    }
    await expect.poll(() => other.page.locator('[data-event="agent_failed"]').count()).toBe(2);
    expect(await rows(other)).toEqual(await rows(ada));
    expect(await ada.page.locator('[data-event="agent_completed"]').count()).toBe(0);
    for (const person of people) expect(await person.page.getByRole('button', { name: 'Stop' }).count()).toBe(0);
    await ada.screenshot('stopped');
  } finally {
    await slow.remove();
  }
});

test('where WebSockets are blocked the page hears and asks all the same', async () => {
  const ada = await visitor();
  // As a proxy that does not pass upgrades: the socket never opens, everything else is as always.
  await ada.page.addInitScript(() => {
    class Blocked extends EventTarget {
      onclose: ((event: unknown) => void) | null = null;
      readyState = 0;
      constructor() {
        super();
        setTimeout(() => {
          this.readyState = 3;
          this.onclose?.({ code: 1006, reason: '' });
        }, 10);
      }
      close() {
        this.readyState = 3;
      }
      send() {
        throw new Error('it never opened');
      }
    }
    Object.defineProperty(globalThis, 'WebSocket', { value: Blocked });
  });
  await ada.page.reload();
  await ada.signIn(ADA.name, ADA.password);
  await ada.page.locator('[data-connection="live"][data-transport="sse"]').waitFor();
  await ada.ask('What does close code 1006 mean?');
  await finished(ada);
  const seen = await rows(ada);
  for (const kind of ['agent_started', 'agent_thinking', 'tool_executing', 'tool_completed', 'agent_completed']) {
    expect(seen.some((row) => row.startsWith(kind)), kind).toBe(true);
  }
  await ada.screenshot('without-websocket');
  // And through a restart of the server.
  await server.stop('SIGKILL');
  await server.restart();
  await ada.page.locator('[data-connection="live"][data-transport="sse"]').waitFor({ timeout: 40_000 });
  await ada.ask('And what is 1008?');
  await expect.poll(() => ada.page.locator('[data-event="agent_completed"]').count(), { timeout: 20_000 }).toBe(2);
});
