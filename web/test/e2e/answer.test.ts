/** What agents write, in a real browser: it is drawn, and it does nothing else. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { completed, interject, started } from './interject.ts';
import { Server } from './server.ts';
import { visitors } from './visitors.ts';

const ADA = { name: 'ada', password: 'correct horse battery staple' };

let server: Server;
const visitor = visitors(() => server.gateway);

beforeAll(async () => {
  server = await Server.start({ [ADA.name]: ADA.password });
});

afterAll(() => server?.remove());

test('links lead where they say, and what a browser would read as another place is no link', async () => {
  const ada = await visitor();
  const say = await interject(ada, 'links');
  await ada.signIn(ADA.name, ADA.password);
  await ada.connected();
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
