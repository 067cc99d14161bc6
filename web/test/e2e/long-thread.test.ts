/** A conversation of ten thousand events: read to its beginning without the page stumbling. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Person } from './browser.ts';
import { completed, interject, type Said, started } from './interject.ts';
import { ADA } from './people.ts';
import { Server } from './server.ts';
import { visitors } from './visitors.ts';

const EVENTS_OF_A_RUN = 25;

let server: Server;
const visitor = visitors(() => server.gateway);

beforeAll(async () => {
  server = await Server.start({ [ADA.name]: ADA.password });
});

afterAll(() => server?.remove());

/** The events of one run, in the protocol's order. */
function run(number: number): Said[] {
  const tools = Array.from({ length: (EVENTS_OF_A_RUN - 3) / 2 }, (_, index) => {
    const execution_id = `x-${number}-${index}`;
    return [
      { type: 'tool_executing', payload: { execution_id, tool_name: 'decode_token', tool_args: { token: 'eyJ…', part: index } } },
      {
        type: 'tool_completed',
        payload: { execution_id, tool_name: 'decode_token', ok: true, result_summary: `Part ${index} is **good**.`, result: { index }, duration_ms: 3 },
      },
    ];
  });
  return [
    started,
    { type: 'agent_thinking', payload: { agent_id: 'doctor', thinking_content: 'Looks at what was pasted.', step_number: 1 } },
    ...tools.flat(),
    completed(`Answer ${number}.\n\n- one\n- two\n\n\`\`\`\ncode\n\`\`\``),
  ];
}

/** A person whose connection, once live, brings that many events of one thread. */
async function withThread(events: number): Promise<Person> {
  const person = await visitor();
  const say = await interject(person, 'long');
  await person.enter(ADA);
  for (let number = 0; number * EVENTS_OF_A_RUN < events; number += 1) say(`run-${number}`, number * EVENTS_OF_A_RUN + 1, run(number));
  await person.page.getByRole('button', { name: 'From another device', exact: true }).click();
  await person.page.getByText(`Answer ${events / EVENTS_OF_A_RUN - 1}.`).waitFor();
  return person;
}

interface Scrolled {
  readonly rows: number;
  readonly frames: number;
  /** Of a frame, in milliseconds. */
  readonly median: number;
}

/** Shows everything, and scrolls through the end, the middle and the beginning as a hand on a wheel does. */
async function scrollThrough(person: Person): Promise<Scrolled> {
  const more = person.page.getByRole('button', { name: /^Show \d+ earlier questions$/ });
  while ((await more.count()) > 0) await more.click();
  const rows = await person.page.locator('[data-event]').count();
  const times = await person.page.getByRole('log').evaluate(
    async (log, { framesEach, step }) => {
      const frame = () => new Promise<number>((done) => requestAnimationFrame(done));
      const taken: number[] = [];
      for (const place of [1, 0.5, 0]) {
        log.scrollTop = place * log.scrollHeight;
        await frame();
        let last = await frame();
        for (let count = 0; count < framesEach; count += 1) {
          log.scrollTop += place === 0 ? step : -step;
          const now = await frame();
          taken.push(now - last);
          last = now;
        }
      }
      return taken;
    },
    { framesEach: 100, step: 100 },
  );
  const median = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN;
  return { rows, frames: times.length, median };
}

test('ten thousand events scroll as smoothly as two hundred', async () => {
  const short = await scrollThrough(await withThread(200));
  const long = await scrollThrough(await withThread(10_000));
  expect(short.rows).toBe(200);
  expect(long.rows).toBe(10_000);
  const told = `${long.frames} frames, median ${long.median.toFixed(1)} ms; in a short thread ${short.median.toFixed(1)} ms`;
  console.info(`scrolling through 10,000 events: ${told}`);
  // A ratio within one run: what else the machine is doing slows both.
  expect(long.median, told).toBeLessThan(2 * short.median);
});

test('only what can be seen is laid out, and new events do not move a reader who is elsewhere', async () => {
  const ada = await withThread(10_000);
  const laidOut = await ada.page.locator('.turn .steps').evaluateAll((all) => all.filter((one) => one.checkVisibility({ contentVisibilityAuto: true })).length);
  expect(laidOut).toBeGreaterThan(0);
  expect(laidOut, 'turns far away cost no layout').toBeLessThan(25);
  const log = ada.page.getByRole('log');
  await log.evaluate((element) => (element.scrollTop = 0));
  await ada.ask('What is NO_TOKEN?');
  await ada.page.getByText('NO_TOKEN', { exact: false }).last().waitFor({ state: 'attached' });
  expect(await log.evaluate((element) => element.scrollTop)).toBeLessThan(400);
});
