/** Chromium for the tests. Whatever breaks the content security policy or throws in a page fails the test that caused it. */

import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const RESULTS = fileURLToPath(new URL('../../test-results/', import.meta.url));

export function launch(): Promise<Browser> {
  const executablePath = [process.env['CHROMIUM_BIN'], '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
    (path) => path !== undefined && existsSync(path),
  );
  if (executablePath === undefined) throw new Error('no Chromium: run scripts/setup.sh test, or set CHROMIUM_BIN');
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** One person at one browser. */
export class Person {
  readonly page: Page;
  /** Violations of the policy and exceptions, as the browser reported them. */
  readonly faults: string[];

  private constructor(page: Page, faults: string[]) {
    this.page = page;
    this.faults = faults;
  }

  /** A browser of their own: nothing is shared between two contexts. */
  static async at(browser: Browser, address: string, options: BrowserContextOptions = {}): Promise<Person> {
    const context = await browser.newContext({ viewport: { width: 1200, height: 850 }, ...options });
    const page = await context.newPage();
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => {
      if (/content security policy/i.test(message.text())) faults.push(message.text());
    });
    await page.goto(address);
    return new Person(page, faults);
  }

  async signIn(username: string, password: string): Promise<void> {
    await this.page.getByLabel('User name').fill(username);
    await this.page.getByLabel('Password').fill(password);
    await this.page.getByRole('button', { name: 'Sign in', exact: true }).click();
  }

  /** Signs in, and waits for the connection. */
  async enter({ name, password }: { readonly name: string; readonly password: string }): Promise<void> {
    await this.signIn(name, password);
    await this.connected();
  }

  async useToken(token: string): Promise<void> {
    await this.page.getByRole('button', { name: 'Use an access token instead' }).click();
    await this.page.getByLabel('Access token').fill(token);
    await this.page.getByRole('button', { name: 'Connect', exact: true }).click();
  }

  async connected(): Promise<void> {
    await this.page.locator('[data-connection="live"]').waitFor();
  }

  async ask(question: string): Promise<void> {
    await this.page.getByLabel('Your question').fill(question);
    await this.page.getByRole('button', { name: 'Send', exact: true }).click();
  }

  /** The refusal on screen: everything that a person needs to act on it. */
  async refusal(): Promise<{ reason: string | null; text: string }> {
    const card = this.page.getByRole('alert').filter({ has: this.page.locator('.reason') });
    await card.waitFor();
    return { reason: await card.getAttribute('data-reason'), text: (await card.innerText()).replaceAll(/\s+/g, ' ') };
  }

  async screenshot(name: string): Promise<void> {
    mkdirSync(RESULTS, { recursive: true });
    await this.page.screenshot({ path: `${RESULTS}${name}.png` });
  }

  async leave(): Promise<void> {
    await this.page.context().close();
  }
}
