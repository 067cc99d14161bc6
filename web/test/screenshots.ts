/** Makes docs/images: the page and the dashboard as they are, driven by role and label. `scripts/screenshots.sh` runs it. */

import { fileURLToPath } from 'node:url';
import { launch, Person } from './e2e/browser.ts';
import { ADA } from './e2e/people.ts';
import { Server } from './e2e/server.ts';
import { test } from 'vitest';

const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const QUESTION =
  'What is wrong with this token?\n\njwt.eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEi';

test('the pictures of the documentation', { timeout: 180_000 }, async () => {
  const server = await Server.start({ [ADA.name]: ADA.password }, '[probe]\ninterval = "2s"\n');
  const browser = await launch();
  try {
    for (const colorScheme of ['light', 'dark'] as const) {
      const ada = await Person.at(browser, server.gateway, { colorScheme, viewport: { width: 1100, height: 1280 } });
      await ada.enter(ADA);
      await ada.ask(QUESTION);
      await ada.page.locator('[data-event="agent_completed"]').waitFor();
      await settle(ada);
      await ada.page.screenshot({ path: `${IMAGES}chat-${colorScheme}.png` });

      const bob = await Person.at(browser, server.gateway, { colorScheme, viewport: { width: 1100, height: 620 } });
      await bob.useToken(server.mint('bob', '--ttl=-1h'));
      await bob.refusal();
      await settle(bob);
      await bob.page.screenshot({ path: `${IMAGES}refusal-${colorScheme}.png` });
      await ada.leave();
      await bob.leave();
    }

    // Something to see: users who ask, and clients that get it wrong in some of the usual ways.
    await traffic(server);
    const operator = await Person.at(browser, `${server.admin}/dashboard`, { colorScheme: 'light', viewport: { width: 1280, height: 1100 } });
    await operator.page.getByLabel('Operator key').fill(server.operatorKey());
    await operator.page.getByRole('button', { name: 'Sign in' }).click();
    await operator.page.locator('[data-fresh="live"]').waitFor();
    await operator.page.getByText('TOKEN_EXPIRED').first().waitFor();
    await settle(operator);
    await operator.page.screenshot({ path: `${IMAGES}dashboard.png` });
  } finally {
    await browser.close();
    await server.remove();
  }
});

/** Fonts are there, and nothing moves any more. */
async function settle({ page }: Person): Promise<void> {
  await page.mouse.move(0, 0);
  await page.evaluate(async () => {
    await document.fonts.ready;
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
  });
}

/** Half a minute of handshakes, spread over the buckets of the plots. */
async function traffic(server: Server): Promise<void> {
  const element = (token: string) => `jwt.${Buffer.from(token).toString('base64url')}`;
  const good = server.mint('ada');
  const expired = server.mint('ada', '--ttl=-1h');
  const offers = [
    ['jwt-auth', element(good)],
    ['jwt-auth', element(good)],
    ['jwt-auth', element(good)],
    ['jwt-auth', element(expired)],
    ['jwt', good],
    ['jwt-auth', 'jwt.abc'],
    ['jwt-auth'],
  ];
  const { default: WebSocket } = await import('ws');
  const ended = Date.now() + 30_000;
  for (let round = 0; Date.now() < ended; round += 1) {
    await Promise.all(
      offers.slice(0, 3 + (round % 5)).map(
        (protocols) =>
          new Promise<void>((done) => {
            const socket = new WebSocket(`${server.gateway.replace('http', 'ws')}/ws`, protocols);
            socket.on('open', () => {
              socket.send(JSON.stringify({ type: 'user_message', payload: { content: 'What does 1006 mean?' } }));
            });
            socket.on('message', (data) => {
              if (String(data).includes('agent_completed')) socket.close();
            });
            socket.on('close', () => done());
            socket.on('error', () => done());
          }),
      ),
    );
    await new Promise((done) => setTimeout(done, 400));
  }
}
