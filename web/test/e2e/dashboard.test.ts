/** The operator dashboard in a real browser: its login, and refusals as they happen, down to the single handshake. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import type { Person } from './browser.ts';
import { Server } from './server.ts';
import { visitors } from './visitors.ts';

let server: Server;
const visitor = visitors(() => `${server.admin}/dashboard`);

beforeAll(async () => {
  server = await Server.start({ ada: 'correct horse battery staple' }, '[probe]\ninterval = "2s"\n');
});

afterAll(() => server?.remove());

/** Offers `protocols` and waits for the refusal; gives the request id that the answer names. */
function refused(protocols: string[], query = ''): Promise<string> {
  return new Promise((done, fail) => {
    const socket = new WebSocket(`${server.gateway.replace('http', 'ws')}/ws${query}`, protocols);
    socket.on('unexpected-response', (_request, response) => {
      response.resume();
      done(String(response.headers['x-request-id'] ?? ''));
    });
    socket.on('open', () => fail(new Error('the handshake was accepted')));
    socket.on('error', () => undefined);
  });
}

const wrapped = (token: string) => `jwt.${Buffer.from(token).toString('base64url')}`;

async function logIn(person: Person): Promise<void> {
  await person.page.getByLabel('Operator key').fill(server.operatorKey());
  await person.page.getByRole('button', { name: 'Sign in' }).click();
  await person.page.locator('[data-fresh="live"]').waitFor();
}

const tile = (person: Person, name: string) => person.page.getByRole('region', { name, exact: true });

describe('the login', () => {
  test('refuses a wrong key, takes the right one, and keeps it through a reload and nowhere a script can see', async () => {
    const operator = await visitor();
    const { page } = operator;
    await page.getByLabel('Operator key').fill('not the key');
    await page.getByRole('button', { name: 'Sign in' }).click();
    expect((await operator.refusal()).text).toContain('This is not the operator key');
    await operator.screenshot('dashboard-wrong-key');
    await logIn(operator);
    await page.reload();
    await page.locator('[data-fresh="live"]').waitFor();
    expect(await page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length])).toEqual(['', 0, 0]);
    const [cookie] = await page.context().cookies(`${server.admin}/admin/snapshot`);
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/admin' });

    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Operator key').waitFor();
    await page.reload();
    await page.getByLabel('Operator key').waitFor();
  });

  test('is asked for by everything but the page, and the gateway’s own listener knows nothing of it', async () => {
    expect((await fetch(`${server.admin}/admin/snapshot`)).status).toBe(401);
    expect((await fetch(`${server.admin}/admin/refusals`)).status).toBe(401);
    const page = await fetch(`${server.admin}/dashboard`);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(page.headers.get('content-security-policy')).not.toContain('unsafe');
    const own = [...(await page.text()).matchAll(/\/assets\/dashboard[^"]+/g)].map(([path]) => path);
    expect(own.length).toBeGreaterThanOrEqual(2);
    for (const path of ['/dashboard', '/dashboard.html', '/admin/snapshot', '/admin/session', ...own]) {
      expect((await fetch(server.gateway + path)).status, path).toBe(404);
    }
    for (const path of own) expect((await fetch(server.admin + path)).headers.get('cache-control')).toContain('immutable');
  });
});

describe('what it shows', () => {
  test('a refused handshake appears with its reason, opens to what was sent, and no part of the token is anywhere', async () => {
    const operator = await visitor();
    const { page } = operator;
    await logIn(operator);
    const panel = page.getByRole('region', { name: 'Refused handshakes' });
    await panel.getByText('No handshake was refused since the server started.').waitFor();

    const token = server.mint('ada', '--ttl=-1h');
    const id = await refused(['jwt-auth', wrapped(token)]);
    const record = panel.locator('details.record[data-reason="TOKEN_EXPIRED"]');
    await record.waitFor();
    await record.locator('summary').click();
    const shown = await record.innerText();
    expect(shown).toContain(id);
    expect(shown).toContain(`jwt.<${Buffer.from(token).toString('base64url').length} bytes>`);
    expect(shown).toContain('What to do:');

    const secret = server.mint('bob');
    await refused(['jwt', secret], '?build=yesterday');
    await refused(['jwt-auth'], `?token=${secret}`);
    await refused([secret]);
    await panel.getByRole('button', { name: /PROTOCOL_MISMATCH/ }).click();
    await expect.poll(() => panel.locator('details.record').count()).toBe(2);
    await panel.getByText('old page').waitFor();
    const everything = await page.evaluate(async () => document.documentElement.outerHTML + (await (await fetch('/admin/refusals?limit=500')).text()));
    for (const part of [token, secret, ...token.split('.'), ...secret.split('.')]) {
      expect(everything).not.toContain(part.slice(0, 16));
      expect(everything).not.toContain(Buffer.from(part).toString('base64url').slice(0, 16));
    }

    await panel.getByLabel('Request id').fill(id);
    await panel.getByRole('button', { name: 'Find' }).click();
    await expect.poll(() => panel.locator('details.record').count()).toBe(1);
    await panel.getByLabel('Request id').fill('nobody-0');
    await panel.getByRole('button', { name: 'Find' }).click();
    await panel.getByText('No refused handshake with this id is kept.').waitFor();
  });

  test('the golden path is walked, and counts for nobody', async () => {
    const operator = await visitor();
    await logIn(operator);
    await operator.page.locator('[data-golden="ok"]').waitFor();
    const steps = operator.page.getByRole('list', { name: 'The last probe, step by step' }).getByRole('listitem');
    for (const step of await steps.allInnerTexts()) expect(step).toMatch(/\d (µs|ms|s)$/);
    const totals = await operator.page.evaluate(async () => ((await (await fetch('/admin/snapshot')).json()) as { totals: object }).totals);
    expect(totals).not.toHaveProperty('runs_completed');
    expect(totals).not.toHaveProperty('accepted');
    expect(await tile(operator, 'Closes with 1011').innerText()).toMatch(/\b0\b/);
  });

  test('plots are drawn, with units and tables, in both themes and on a phone without scrolling sideways', async () => {
    for (const [name, options] of [
      ['light', { colorScheme: 'light' }],
      ['dark', { colorScheme: 'dark' }],
      ['phone', { colorScheme: 'light', viewport: { width: 360, height: 780 }, deviceScaleFactor: 2 }],
    ] as const) {
      const operator = await visitor(`${server.admin}/dashboard`, options);
      const { page } = operator;
      await logIn(operator);
      const handshakes = page.getByRole('region', { name: 'Handshakes', exact: true }).filter({ has: page.locator('.unit') });
      await handshakes.getByRole('img', { name: /Handshakes over time in handshakes a second\. Latest: accepted .*\/s, refused .*\/s/ }).waitFor();
      expect(await handshakes.locator('canvas').count()).toBe(1);
      await handshakes.getByText('Table', { exact: false }).click();
      expect(await handshakes.getByRole('columnheader').allInnerTexts()).toEqual(['Until', 'accepted', 'refused']);
      await operator.screenshot(`dashboard-${name}`);
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    }
  });

  test('old figures are marked when the server is gone, and fresh ones come by themselves', async () => {
    const operator = await visitor();
    await logIn(operator);
    await server.stop();
    await operator.page.locator('[data-fresh="stale"]').waitFor();
    await operator.page.getByText('The server does not answer.').waitFor();
    await operator.screenshot('dashboard-stale');
    await server.restart();
    // Sessions end with the server.
    await operator.page.getByLabel('Operator key').waitFor();
    await logIn(operator);
  });
});
