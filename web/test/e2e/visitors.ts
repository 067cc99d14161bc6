import type { Browser, BrowserContextOptions } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { launch, Person } from './browser.ts';

/**
 * Gives each test of a file its own people, at `address()` unless told otherwise. They leave when the test ends, and what
 * their browsers complained of fails it.
 */
export function visitors(address: () => string) {
  let browser: Browser | undefined;
  let people: Person[] = [];
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());
  beforeEach(() => {
    people = [];
  });
  afterEach(async () => {
    const faults = people.flatMap((person) => person.faults);
    await Promise.all(people.map((person) => person.leave()));
    expect(faults, 'content security policy violations and exceptions').toEqual([]);
  });
  return async (at = address(), options: BrowserContextOptions = {}): Promise<Person> => {
    if (browser === undefined) throw new Error('the browser is not there yet');
    const person = await Person.at(browser, at, options);
    people.push(person);
    return person;
  };
}
