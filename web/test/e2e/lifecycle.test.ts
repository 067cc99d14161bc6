/** What happens around the conversation: one-time links, restarts, stale pages, and the policy that guards it all. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { ADA } from './people.ts';
import { Server } from './server.ts';
import { History } from '@portcullis/client';
import { visitors } from './visitors.ts';
import type { Page } from 'playwright-core';

let server: Server;
const visitor = visitors(() => server.gateway);

beforeAll(async () => {
  server = await Server.start({ [ADA.name]: ADA.password });
});

afterAll(() => server?.remove());

/** Each start prints a link of its own, good once. */
async function freshLink(): Promise<string> {
  await server.stop();
  await server.restart();
  await expect.poll(() => server.output).toMatch(/#link=/);
  return /https?:\/\/\S+#link=[\w-]+/.exec(server.output)?.[0] ?? '';
}

/** The steps of docs/quickstart.md, on a phone, as somebody who reads nothing. */
test('the first visit on a phone: the link, an example, Send, an answer', async () => {
  const began = performance.now();
  const { page } = await visitor(await freshLink(), { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  await page.getByRole('button', { name: /^What is wrong with this token/ }).tap();
  await page.getByRole('button', { name: 'Send', exact: true }).tap();
  await page.locator('[data-event="agent_completed"]').waitFor();
  expect(await page.getByTestId('answer').innerText()).toContain('TOKEN_MALFORMED');
  console.info(`from the start of serve to the first answer: ${((performance.now() - began) / 1000).toFixed(1)} s`);
});

test('the printed link signs in once, and its code leaves the address', async () => {
  const link = await freshLink();
  const first = await visitor(link);
  await first.connected();
  expect(first.page.url()).toBe(`${server.gateway}/`);
  expect(await first.page.evaluate(() => history.length)).toBeLessThanOrEqual(2);

  const second = await visitor(link);
  const { reason, text } = await second.refusal();
  expect(reason).toBe('TOKEN_REVOKED');
  expect(text).toMatch(/request id \S+/);
  expect(second.page.url()).toBe(`${server.gateway}/`);
});

test('a server that goes and comes back finds its page waiting, and what was asked meanwhile is answered', async () => {
  const ada = await visitor();
  await ada.enter(ADA);
  await server.stop();
  await ada.page.locator('[data-connection="waiting"], [data-connection="connecting"]').waitFor();
  await ada.ask('What does 1012 mean?');
  await ada.screenshot('server-gone');
  await server.restart();
  await ada.connected();
  await ada.page.locator('[data-event="agent_completed"]').waitFor();
  expect(await ada.page.locator('[data-event="agent_started"]').count()).toBe(1);
});

/** Every event that the server has of a thread. */
async function recorded(threadId: string, of = server): Promise<Wire[]> {
  const token = await of.signIn(ADA.name, ADA.password);
  const history = new History({ gateway: of.gateway, token: () => token });
  const { events, next_cursor } = await history.events(threadId, { limit: 200 });
  expect(next_cursor, 'one page holds the thread').toBeUndefined();
  return events as unknown as Wire[];
}

interface Wire {
  readonly type: string;
  readonly seq?: number;
  readonly thread_id?: string;
  readonly payload: { readonly final_response?: string; readonly delta?: string; readonly attempt?: number };
}

/** The events that have a row of their own, and those that the page shows. */
const rowsOf = (events: readonly Wire[]) => events.filter(({ type }) => type !== 'partial_result').map(({ type, seq }) => [type, seq]);
const shownRows = (page: Page) =>
  page.locator('[data-event]').evaluateAll((all) => all.map((row) => [row.getAttribute('data-event'), Number(row.getAttribute('data-seq'))]));

const words = (text: string) => text.replaceAll(/[^\p{L}\p{N}]+/gu, ' ').trim();
/** Markdown's marks are not shown, nor the numbers of a list; each word is, once and in its place. */
const spoken = (answer: string) => words(answer.replaceAll(/^\s*\d+\. /gm, ''));
const shownWords = async (page: Page) => words(await page.getByTestId('answer').innerText()).replace(/^Answer /, '');

test.each(['SIGTERM', 'SIGKILL'] as const)('a server that goes by %s in the middle of an answer: the transcript after it is the record', async (signal) => {
  const ada = await visitor();
  let threadId = '';
  let sockets = 0;
  let cut = false;
  await ada.page.routeWebSocket(/\/ws/, (socket) => {
    sockets += 1;
    const first = sockets === 1;
    const upstream = socket.connectToServer();
    upstream.onMessage((message) => {
      const { type, thread_id } = JSON.parse(String(message)) as Wire;
      threadId = thread_id ?? threadId;
      // The line breaks while the answer streams: what comes behind the first piece never arrives.
      if (first && cut) return;
      socket.send(message);
      cut ||= type === 'partial_result';
    });
    // As a line that breaks: no close frame, no reason.
    upstream.onClose(() => void socket.close({ code: 3999, reason: '' }));
  });
  await ada.enter(ADA);
  await ada.ask('Why does my browser only say 1006?');
  await ada.page.getByTestId('answer').waitFor();
  expect(await ada.page.locator('[data-event="agent_completed"]').count(), 'the answer is not whole').toBe(0);
  await server.stop(signal);
  await server.restart();
  await ada.connected();
  await ada.page.locator('[data-event="agent_completed"], [data-event="agent_failed"]').waitFor();
  expect(sockets).toBeGreaterThan(1);

  const events = await recorded(threadId);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  // A run that was cut off begins anew.
  const last = events.slice(events.findLastIndex(({ type }) => type === 'agent_started'));
  expect(await shownRows(ada.page)).toEqual(rowsOf(last));
  const whole = last.at(-1)?.payload.final_response ?? '';
  expect(whole.length).toBeGreaterThan(200);
  expect(await shownWords(ada.page)).toBe(spoken(whole));
});

test('a run that a crash cuts off begins anew, and the page shows the new answer alone', async () => {
  const slow = await Server.start({ [ADA.name]: ADA.password }, '[dev]\npace = "60ms"\n');
  try {
    const ada = await visitor(slow.gateway);
    let threadId = '';
    ada.page.on('websocket', (socket) =>
      socket.on('framereceived', ({ payload }) => (threadId = (JSON.parse(String(payload)) as Wire).thread_id ?? threadId)),
    );
    await ada.enter(ADA);
    await ada.ask('Why does my browser only say 1006?');
    await expect.poll(() => ada.page.getByTestId('answer').innerText(), { timeout: 20_000 }).not.toBe('');
    await slow.stop('SIGKILL');
    expect(await ada.page.locator('[data-event="agent_completed"]').count(), 'the answer is not whole').toBe(0);
    await slow.restart();
    await ada.page.locator('[data-event="agent_completed"]').waitFor({ timeout: 40_000 });
    await ada.screenshot('begun-anew');

    const events = await recorded(threadId, slow);
    const begins = events.flatMap((event, index) => (event.type === 'agent_started' ? [index] : []));
    expect(begins.map((index) => events[index]?.payload.attempt)).toEqual([undefined, 2]);
    const last = events.slice(begins[1]);
    expect(await shownRows(ada.page)).toEqual(rowsOf(last));
    const whole = last.at(-1)?.payload.final_response ?? '';
    expect(last.map(({ payload }) => payload.delta ?? '').join(''), 'the pieces of the second attempt are the answer').toBe(whole);
    expect(await shownWords(ada.page)).toBe(spoken(whole));
    expect(await ada.page.getByText('Why does my browser only say 1006?').count(), 'the question is still there').toBeGreaterThan(0);
  } finally {
    await slow.remove();
  }
});

test('a page that is older than its server says so', async () => {
  const ada = await visitor();
  const reload = ada.page.getByRole('button', { name: 'Reload' });
  await ada.page.getByLabel('User name').waitFor();
  expect(await reload.count()).toBe(0);
  await ada.page.route('**/ws/config', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...((await response.json()) as object), build: 'another' } });
  });
  await ada.signIn(ADA.name, ADA.password);
  await reload.waitFor();
  expect(await ada.page.getByRole('alert').innerText()).toContain('This page is older than its server.');
  await ada.screenshot('stale');
});

test('the page is never cached, its files for ever, and the policy forbids everything inline', async () => {
  const page = await fetch(server.gateway);
  expect(page.headers.get('cache-control')).toBe('no-store');
  const policy = page.headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain('unsafe');
  const html = await page.text();
  const build = /<meta name="portcullis-build" content="(\w+)">/.exec(html)?.[1];
  const config = (await (await fetch(`${server.gateway}/ws/config`)).json()) as { build: string };
  expect(config.build).toBe(build);
  const assets = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path ?? '');
  expect(assets.length).toBeGreaterThanOrEqual(3);
  for (const path of assets) {
    expect(path).toMatch(/-[\w-]{8}\.\w+$/);
    expect((await fetch(server.gateway + path)).headers.get('cache-control')).toContain('immutable');
  }
});

test('a violation of the policy would be noticed', async () => {
  const ada = await visitor();
  await ada.page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'globalThis.ran = true';
    document.head.append(script);
  });
  await expect.poll(() => ada.faults.splice(0).join()).toMatch(/content security policy/i);
  expect(await ada.page.evaluate(() => 'ran' in globalThis)).toBe(false);
});
