/** What agents write, in a real browser: it is drawn, and it does nothing else. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { completed, interject, started } from './interject.ts';
import { ADA } from './people.ts';
import { Server } from './server.ts';
import { visitors } from './visitors.ts';

let server: Server;
const visitor = visitors(() => server.gateway);

beforeAll(async () => {
  server = await Server.start({ [ADA.name]: ADA.password });
});

afterAll(() => server?.remove());

test('links lead where they say, and what a browser would read as another place is no link', async () => {
  const ada = await visitor();
  const say = await interject(ada, 'links');
  await ada.enter(ADA);
  const elsewhere = ['/\\evil.example', '/\t/evil.example', '//evil.example', '\\\\evil.example', 'https:evil.example', 'javascript:alert(1)', 'data:text/html,x'];
  const links = ['[docs](/docs/)', ...elsewhere.map((href, index) => `[trap ${index}](${href})`)];
  say('r', 1, [started, completed(links.join('\n\n'))]);
  await ada.page.getByRole('button', { name: 'From another device', exact: true }).click();
  const answer = ada.page.getByTestId('answer');
  await answer.waitFor();
  // Where the browser itself would go.
  const places = await answer.locator('a').evaluateAll((all) => all.map((link) => (link as HTMLAnchorElement).href));
  expect(places).toEqual([`${server.gateway}/docs/`]);

  const context = ada.page.context();
  const opened: string[] = [];
  context.on('page', (page) => opened.push(page.url()));
  context.on('request', (request) => opened.push(request.url()));
  for (const index of elsewhere.keys()) await answer.getByText(`trap ${index}`).click();
  const [docs] = await Promise.all([context.waitForEvent('page'), answer.getByText('docs', { exact: true }).click()]);
  await docs.waitForLoadState();
  expect(docs.url()).toMatch(`${server.gateway}/docs/`);
  expect(opened.filter((url) => url !== 'about:blank' && !url.startsWith(server.gateway)), 'nothing else was opened').toEqual([]);
  expect(ada.page.url()).toBe(`${server.gateway}/`);
});

test('while an answer streams, only its end is drawn again', async () => {
  const ada = await visitor();
  const say = await interject(ada, 'stream');
  await ada.enter(ADA);
  const section = '## A heading\n\nSome *words* of [a link](/docs/), and `code`.\n\n- one\n- two\n\n```js\nconst a = 1;\n```\n\n';
  const pieces = section.repeat(40).match(/[^]{1,9}/g) ?? [];
  const deltas = pieces.map((delta) => ({ type: 'partial_result', payload: { delta } }));
  say('r', 1, [started, ...deltas.slice(0, 20)]);
  await ada.page.getByRole('button', { name: 'From another device', exact: true }).click();
  const prose = ada.page.locator('.prose');
  await prose.waitFor();
  // For every change, how many blocks from the end it is in.
  const furthest = await prose.evaluateHandle((element) => {
    const seen = { changes: 0, fromEnd: 0 };
    new MutationObserver((records) => {
      for (const { target } of records) {
        seen.changes += 1;
        const blocks = [...element.children];
        const index = blocks.findIndex((block) => block.contains(target));
        if (index >= 0) seen.fromEnd = Math.max(seen.fromEnd, blocks.length - index);
      }
    }).observe(element, { subtree: true, childList: true, characterData: true, attributes: true });
    return seen;
  });
  const first = await prose.locator('h4').first().elementHandle();
  for (const [index, delta] of deltas.slice(20).entries()) {
    say('r', 22 + index, [delta]);
    if (index % 10 === 0) await ada.page.evaluate(() => new Promise(requestAnimationFrame));
  }
  say('r', 2 + deltas.length, [completed(pieces.join(''))]);
  await ada.page.locator('[data-event="agent_completed"]').waitFor();
  expect(await prose.locator('h4').count()).toBe(40);
  expect(await prose.locator('pre').count()).toBe(40);
  const { changes, fromEnd } = await furthest.jsonValue();
  expect(changes).toBeGreaterThan(200);
  // What came between two frames may have been some blocks at once.
  expect(fromEnd, 'blocks from the end').toBeLessThan(12);
  expect(await first?.evaluate((element) => element.isConnected), 'a closed block stays what it was').toBe(true);
});
