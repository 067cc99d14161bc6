/** For everybody: axe in every state, both themes and a narrow screen; the keyboard alone; reduced motion. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Person } from './browser.ts';
import { ADA } from './people.ts';
import { Server } from './server.ts';
import { visitors } from './visitors.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let server: Server;
const visitor = visitors(() => server.gateway);

beforeAll(async () => {
  server = await Server.start({ [ADA.name]: ADA.password });
});

afterAll(() => server?.remove());

/** What axe finds that keeps people out, in words. */
async function serious(person: Person): Promise<string[]> {
  // Evaluated by the debugger, so the page's policy is neither in the way nor loosened.
  const results = await person.page.evaluate(
    `${AXE}; axe.run(document, { resultTypes: ['violations'] })`,
  ) as AxeResults;
  return results.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary ?? ''}`));
}

async function fits(person: Person): Promise<boolean> {
  return person.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
}

const VIEWS = [
  { colorScheme: 'light', viewport: { width: 1200, height: 850 } },
  { colorScheme: 'dark', viewport: { width: 1200, height: 850 } },
  { colorScheme: 'light', viewport: { width: 360, height: 740 } },
  { colorScheme: 'dark', viewport: { width: 360, height: 740 } },
] as const;

describe.each(VIEWS)('$colorScheme, $viewport.width wide', (view) => {
  /** Nothing serious in this state, and nothing that sticks out. */
  async function check(person: Person, state: string): Promise<void> {
    expect(await serious(person), state).toEqual([]);
    expect(await fits(person), `${state} scrolls sideways`).toBe(true);
  }

  test('the chat, from the sign-in to an answer and a refusal', async () => {
    const ada = await visitor(server.gateway, view);
    await ada.page.getByLabel('User name').waitFor();
    await check(ada, 'sign-in');
    await ada.signIn(ADA.name, 'not the password');
    await ada.refusal();
    await check(ada, 'a wrong password');
    await ada.enter(ADA);
    await check(ada, 'an empty chat');
    await ada.ask('Why is this token refused? eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEifQ');
    await ada.page.locator('[data-event="agent_completed"]').waitFor();
    for (const row of await ada.page.locator('.step details summary').all()) await row.click();
    await check(ada, 'an answer with its tools unfolded');
    await ada.screenshot(`answer-${view.colorScheme}-${view.viewport.width}`);
    if (view.viewport.width < 500) {
      await ada.page.getByRole('button', { name: 'Conversations' }).click();
      await check(ada, 'the list of conversations');
    }

    const bob = await visitor(server.gateway, view);
    await bob.useToken(server.mint('bob', '--ttl=-1h'));
    await bob.refusal();
    await check(bob, 'an expired token');
  });

  test('the documentation', async () => {
    const reader = await visitor(`${server.gateway}/docs/`, view);
    for (const page of ['index.html', 'concepts/connection.html', 'howto/front-end.html', 'reasons/TOKEN_EXPIRED.html']) {
      await reader.page.goto(`${server.gateway}/docs/${page}`);
      await check(reader, page);
    }
    await reader.page.getByRole('combobox').fill('token');
    await reader.page.getByRole('option').first().waitFor();
    await check(reader, 'hits of a search');
  });

  test('the dashboard', async () => {
    const operator = await visitor(`${server.admin}/dashboard`, view);
    await operator.page.getByLabel('Operator key').waitFor();
    await check(operator, 'its sign-in');
    await operator.page.getByLabel('Operator key').fill(server.operatorKey());
    await operator.page.getByRole('button', { name: 'Sign in' }).click();
    await operator.page.locator('[data-fresh="live"]').waitFor();
    await check(operator, 'the dashboard');
  });
});

test('axe would be heard: a control without a name is found', async () => {
  const ada = await visitor();
  await ada.page.getByLabel('User name').waitFor();
  await ada.page.evaluate(() => document.querySelector('main')?.append(document.createElement('button')));
  expect((await serious(ada)).join()).toContain('button-name');
});

test('by keyboard alone: sign in, pick an example, ask, unfold a tool, stop reading along, sign out', async () => {
  const ada = await visitor();
  const { keyboard } = ada.page;
  const focused = () =>
    ada.page.evaluate(() => {
      const element = document.activeElement;
      if (element === null || element === document.body) return '';
      return element.getAttribute('aria-label') ?? element.textContent.trim();
    });
  const tabTo = async (name: string) => {
    for (let presses = 0; presses < 40; presses += 1) {
      if ((await focused()).includes(name)) return;
      await keyboard.press('Tab');
    }
    throw new Error(`"${name}" cannot be reached by Tab`);
  };
  await ada.page.getByLabel('User name').waitFor();
  await keyboard.type(ADA.name);
  await keyboard.press('Tab');
  await keyboard.type(ADA.password);
  await keyboard.press('Enter');
  await ada.connected();
  await tabTo('What is wrong with this token?');
  const ring = await ada.page.evaluate(() => {
    const style = getComputedStyle(document.activeElement ?? document.body);
    return style.outlineStyle !== 'none' || style.boxShadow !== 'none';
  });
  expect(ring, 'where the focus is can be seen').toBe(true);
  await keyboard.press('Enter');
  expect(await focused(), 'an example is there to be changed').toContain('Your question');
  await keyboard.press('Enter');
  await ada.page.locator('[data-event="agent_completed"]').waitFor();
  expect(await focused(), 'new messages never take the focus').toContain('Your question');
  await keyboard.press('Shift+Tab');
  for (let presses = 0; presses < 60 && !(await ada.page.evaluate(() => document.activeElement?.matches('.step summary'))); presses += 1) {
    await keyboard.press('Shift+Tab');
  }
  await keyboard.press('Enter');
  expect(await ada.page.locator('.step details[open]').count()).toBe(1);
  await tabTo('Sign out');
  await keyboard.press('Enter');
  await ada.page.getByLabel('User name').waitFor();
});

test('with reduced motion nothing turns, slides or scrolls by itself; without, something does', async () => {
  const moving = async (reducedMotion: 'reduce' | 'no-preference') => {
    const ada = await visitor(server.gateway, { reducedMotion });
    // The answer is held back, so that the page waits as long as it is looked at.
    await ada.page.routeWebSocket(/\/ws/, (socket) => {
      const upstream = socket.connectToServer();
      upstream.onMessage((message) => {
        if (/connection_established|pong/.test(String(message))) socket.send(message);
      });
    });
    await ada.enter(ADA);
    await ada.ask('What is NO_TOKEN?');
    await ada.page.locator('.turn .spinner').waitFor();
    return ada.page.evaluate(() =>
      document
        .getAnimations()
        .filter(({ playState }) => playState === 'running')
        .flatMap(({ effect }) => (effect instanceof KeyframeEffect ? effect.getKeyframes() : []))
        .some((frame) => ['transform', 'rotate', 'translate', 'scale', 'left', 'top'].some((property) => property in frame && frame[property] !== 'none')),
    );
  };
  expect(await moving('no-preference')).toBe(true);
  expect(await moving('reduce')).toBe(false);
});
