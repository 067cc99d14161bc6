/** The documentation that the server carries: read, searched, and held to the same policy as the page. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { Server } from './server.ts';
import { visitors } from './visitors.ts';

let server: Server;
const visitor = visitors(() => server.gateway);

beforeAll(async () => {
  server = await Server.start({});
});

afterAll(() => server?.remove());

test('the sign-in screen leads to the documentation, whose search finds a reason and opens its page', async () => {
  const person = await visitor();
  const opened = person.page.waitForEvent('popup');
  await person.page.getByRole('link', { name: 'Documentation' }).click();
  const docs = await opened;
  docs.on('console', (message) => {
    if (message.type() === 'error') person.faults.push(message.text());
  });
  await docs.getByRole('heading', { name: 'Documentation', level: 1 }).waitFor();
  expect(new URL(docs.url()).pathname).toBe('/docs/');

  await docs.keyboard.press('/');
  await docs.keyboard.type('TOKEN_EXPIRED');
  await docs.getByRole('option').first().waitFor();
  await docs.keyboard.press('Enter');
  await docs.waitForURL('**/docs/reasons/TOKEN_EXPIRED.html');
  await docs.getByRole('heading', { name: 'TOKEN_EXPIRED', level: 1 }).waitFor();

  await docs.getByRole('searchbox').or(docs.getByRole('combobox')).fill('no such word anywhere');
  await docs.getByText('Nothing found.').waitFor();
});

test('every page of the menu opens, in both themes and on a phone without scrolling sideways', async () => {
  for (const [colorScheme, width] of [
    ['light', 1200],
    ['dark', 360],
  ] as const) {
    const person = await visitor(`${server.gateway}/docs/`, { colorScheme, viewport: { width, height: 740 } });
    const pages = await person.page
      .getByRole('navigation', { name: 'Pages', includeHidden: true })
      .getByRole('link', { includeHidden: true })
      .evaluateAll((links) => links.map((link) => (link as HTMLAnchorElement).href));
    expect(pages.length).toBeGreaterThan(20);
    for (const address of pages) {
      const answer = await person.page.goto(address);
      expect(answer?.status(), address).toBe(200);
      const wide = await person.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(wide, `${address} at ${width}`).toBeLessThanOrEqual(0);
    }
    await person.screenshot(`docs-${colorScheme}`);
  }
});

test('pages are never cached, their files for ever, and what is not there is said', async () => {
  const ask = (path: string, init?: RequestInit) => fetch(`${server.gateway}${path}`, { redirect: 'manual', ...init });
  const entry = await ask('/docs');
  expect([entry.status, entry.headers.get('location')]).toEqual([308, '/docs/']);

  const page = await ask('/docs/');
  expect(page.headers.get('cache-control')).toBe('no-store');
  expect(page.headers.get('content-security-policy')).toContain("script-src 'self';");
  const html = await page.text();
  expect(html).not.toMatch(/<script(?![^>]* src=)|style=|<style/);

  const script = /src="\.\/(assets\/[^"]+)"/.exec(html)?.[1];
  const file = await ask(`/docs/${script}`);
  expect([file.status, file.headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable']);
  const again = await ask(`/docs/${script}`, { headers: { 'If-None-Match': file.headers.get('etag') ?? '' } });
  expect(again.status).toBe(304);

  const missing = await ask('/docs/no-such-page.html');
  expect([missing.status, missing.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
  expect((await ask('/docs/', { method: 'POST' })).status).toBe(405);
});
