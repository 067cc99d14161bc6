/** The main job in a real browser: sign in, ask, watch; and every refusal says why. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Person } from './browser.ts';
import { foreignOrigin } from './foreign-origin.ts';
import { ADA, BOB } from './people.ts';
import { Server } from './server.ts';
import { visitors } from './visitors.ts';

/** Two parts instead of three. */
const MALFORMED = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEifQ';
const FIVE = ['agent_started', 'agent_thinking', 'tool_executing', 'tool_completed', 'agent_completed'];

let server: Server;
const visitor = visitors(() => server.gateway);

beforeAll(async () => {
  server = await Server.start({ [ADA.name]: ADA.password, [BOB.name]: BOB.password });
});

afterAll(() => server?.remove());

/** The events that have rows, in the order on screen, repeats joined: a run may think and use tools several times. */
async function eventNames(person: Person): Promise<string[]> {
  return person.page.locator('[data-event]').evaluateAll((rows) => rows.map((row) => row.getAttribute('data-event') ?? ''));
}

/** Whether `names` has `wanted` in this order, with anything in between. */
function inOrder(names: readonly string[], wanted: readonly string[]): boolean {
  const left = [...wanted];
  for (const name of names) if (name === left[0]) left.shift();
  return left.length === 0;
}

describe('asking', () => {
  test('a pasted malformed token is named, with the five events in order; another user sees nothing of it', async () => {
    const ada = await visitor();
    const bob = await visitor();
    await ada.enter(ADA);
    await bob.enter(BOB);
    await ada.screenshot('empty');

    await ada.ask(`Why is this token refused? ${MALFORMED}`);
    await ada.page.locator('[data-event="agent_completed"]').waitFor();

    // Who reads along is at the end when the answer is.
    const left = () => ada.page.getByRole('log').evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
    await expect.poll(left).toBeLessThan(5);

    const names = await eventNames(ada);
    expect(names[0]).toBe('agent_started');
    expect(names.at(-1)).toBe('agent_completed');
    expect(names.filter((name) => name === 'agent_completed')).toHaveLength(1);
    expect(inOrder(names, FIVE), names.join(' ')).toBe(true);
    const tools = names.filter((name) => name.startsWith('tool_'));
    expect(tools.filter((name) => name === 'tool_executing')).toHaveLength(tools.filter((name) => name === 'tool_completed').length);

    const answer = await ada.page.getByTestId('answer').innerText();
    expect(answer).toContain('TOKEN_MALFORMED');
    await ada.page.locator('details').first().locator('summary').click();
    await ada.screenshot('answer');

    expect(await eventNames(bob)).toEqual([]);
    const seen = await bob.page.locator('body').innerText();
    expect(seen).not.toContain('TOKEN_MALFORMED');
    expect(seen).not.toContain(MALFORMED.slice(0, 12));
  });

  test('two tabs of one user see the same events', async () => {
    const here = await visitor();
    const there = await visitor();
    for (const tab of [here, there]) {
      await tab.enter(ADA);
    }
    await here.ask('What does close code 1006 mean?');
    await here.page.locator('[data-event="agent_completed"]').waitFor();
    await there.page.getByRole('button', { name: 'What does close code 1006 mean?', exact: true }).click();
    await there.page.locator('[data-event="agent_completed"]').waitFor();
    expect(await eventNames(there)).toEqual(await eventNames(here));
    expect(await there.page.getByTestId('answer').innerText()).toBe(await here.page.getByTestId('answer').innerText());
  });

  test('by keyboard alone, on a narrow screen, in the dark', async () => {
    const ada = await visitor(server.gateway, { viewport: { width: 360, height: 740 }, colorScheme: 'dark', reducedMotion: 'reduce' });
    await ada.page.getByLabel('User name').waitFor();
    await ada.page.keyboard.type(ADA.name);
    await ada.page.keyboard.press('Tab');
    await ada.page.keyboard.type(ADA.password);
    await ada.page.keyboard.press('Enter');
    await ada.connected();
    // Its answer has a list with lines of code in it, wider than the screen.
    await ada.page.keyboard.type('What is NO_TOKEN?');
    await ada.page.keyboard.press('Enter');
    await ada.page.locator('[data-event="agent_completed"]').waitFor();
    const wide = await ada.page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(wide, 'the page scrolls sideways').toBe(false);
    const cut = await ada.page.getByTestId('answer').evaluate((answer) => {
      const edge = answer.getBoundingClientRect().right;
      const sticksOut = (element: Element) => element.getBoundingClientRect().right > edge;
      return [...answer.querySelectorAll('p, li, pre')].filter(sticksOut).map((element) => element.textContent);
    });
    expect(cut, 'text is cut off at the edge of the answer').toEqual([]);
    await ada.screenshot('narrow-dark');
  });
});

describe('credentials stay in memory', () => {
  test('no storage, cookie or address holds a token', async () => {
    const ada = await visitor();
    const tokens: string[] = [];
    ada.page.on('response', async (response) => {
      if (!response.url().endsWith('/auth/login') || response.request().method() !== 'POST') return;
      const grant = (await response.json()) as { access_token: string; refresh_token: string };
      tokens.push(grant.access_token, grant.refresh_token);
    });
    await ada.enter(ADA);
    await expect.poll(() => tokens.length).toBe(2);
    const kept = await ada.page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, document.body.innerHTML]));
    for (const token of tokens) expect(kept).not.toContain(token);
    expect(await ada.page.context().cookies()).toEqual([]);
  });
});

describe('refusals say why', () => {
  test('a wrong password', async () => {
    const ada = await visitor();
    await ada.signIn(ADA.name, 'not the password');
    const { reason, text } = await ada.refusal();
    expect(reason).toBe('LOGIN_FAILED');
    expect(text).toContain('The user name or the password is wrong');
    expect(text).toContain('What to do:');
    expect(text).toMatch(/request id \S+/);
    await ada.screenshot('wrong-password');
  });

  test('an expired token', async () => {
    const ada = await visitor();
    await ada.useToken(server.mint(ADA.name, '--ttl=-1h'));
    const { reason, text } = await ada.refusal();
    expect(reason).toBe('TOKEN_EXPIRED');
    expect(text).toContain('The token has expired');
    expect(text).toContain('What to do:');
    expect(text).toMatch(/request id \S+/);
    await ada.screenshot('expired-token');
  });

  test('an expired token is renewed without a word where the session can renew it', async () => {
    const expired = server.mint(ADA.name, '--ttl=-1h');
    const ada = await visitor();
    await ada.page.route('**/auth/login', async (route) => {
      if (route.request().method() !== 'POST') return route.fallback();
      const response = await route.fetch();
      const grant = (await response.json()) as Record<string, unknown>;
      return route.fulfill({ response, json: { ...grant, access_token: expired } });
    });
    await ada.enter(ADA);
    await ada.ask('What is NO_TOKEN?');
    await ada.page.locator('[data-event="agent_completed"]').waitFor();
    expect(await ada.page.getByRole('alert').count()).toBe(0);
  });

  test('a token that is none', async () => {
    const ada = await visitor();
    await ada.useToken('this-is-not-a-token');
    expect((await ada.refusal()).reason).toBe('TOKEN_MALFORMED');
  });

  test('a foreign origin, at sign-in and at the handshake', async () => {
    const foreign = await foreignOrigin(server.gateway);
    try {
      const ada = await visitor(foreign.origin);
      await ada.signIn(ADA.name, ADA.password);
      expect((await ada.refusal()).reason).toBe('ORIGIN_NOT_ALLOWED');

      const bob = await visitor(foreign.origin);
      await bob.useToken(server.mint(BOB.name));
      const { reason, text } = await bob.refusal();
      expect(reason).toBe('ORIGIN_NOT_ALLOWED');
      expect(text).toContain('Pages of this origin may not connect');
      expect(text).toContain('What to do:');
      expect(text).toMatch(/request id \S+/);
      await bob.screenshot('foreign-origin');
    } finally {
      await foreign.close();
    }
  });
});
