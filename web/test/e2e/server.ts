/** A real server for the tests: `portcullis serve` on free ports, with its own data directory, ended by its pid. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

export class Server {
  #process: ChildProcess | undefined;
  #output = '';
  #gateway = '';
  #auth = '';
  #admin = '';
  readonly #data = mkdtempSync(join(tmpdir(), 'portcullis-e2e-'));
  readonly #config: string;

  private constructor(config: string) {
    this.#config = config;
  }

  /** The gateway's address, and so the page's. */
  get gateway(): string {
    return this.#gateway;
  }

  /** Signs in as the page does, and gives the access token. */
  async signIn(username: string, password: string): Promise<string> {
    const answer = await fetch(`${this.#auth}/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, password }),
    });
    return ((await answer.json()) as { access_token: string }).access_token;
  }

  /** The admin listener's address, and so the dashboard's. */
  get admin(): string {
    return this.#admin;
  }

  /** What opens the dashboard. */
  operatorKey(): string {
    return readFileSync(join(this.#data, 'secrets/operator.key'), 'utf8').trim();
  }

  /** What it has printed so far. */
  get output(): string {
    return this.#output;
  }

  /** Starts a server that knows `users` (name to password), and waits until it accepts. */
  static async start(users: Readonly<Record<string, string>>, config = ''): Promise<Server> {
    const server = new Server(config);
    for (const [name, password] of Object.entries(users)) {
      const args = ['users', 'add', name, '--password-stdin', '--data-dir', server.#data];
      execFileSync(binary(), args, { input: `${password}\n`, stdio: 'pipe' });
    }
    await server.#launch('127.0.0.1:0', '127.0.0.1:0', '127.0.0.1:0');
    return server;
  }

  /** Starts again on the same ports, with the same accounts and keys. */
  restart(): Promise<void> {
    return this.#launch(new URL(this.#gateway).host, new URL(this.#auth).host, new URL(this.#admin).host);
  }

  async #launch(listen: string, authListen: string, adminListen: string): Promise<void> {
    const readyFile = join(this.#data, 'ready.json');
    const configFile = join(this.#data, 'portcullis.toml');
    rmSync(readyFile, { force: true });
    writeFileSync(configFile, this.#config);
    const args = ['serve', '--listen', listen, '--auth-listen', authListen, '--data-dir', this.#data, '--ready-file', readyFile];
    const env = { ...process.env, PORTCULLIS_GATEWAY__ADMIN_LISTEN: adminListen };
    const child = spawn(binary(), [...args, '--config', configFile], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    this.#output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (this.#output += chunk.toString()));
    const deadline = Date.now() + 60_000;
    for (let ready = readReady(readyFile); ; ready = readReady(readyFile)) {
      if (ready !== undefined) {
        this.#gateway = ready.gateway;
        this.#auth = ready.auth;
        this.#admin = ready.admin;
        return;
      }
      if (child.exitCode !== null || Date.now() > deadline) {
        child.kill('SIGKILL');
        throw new Error(`portcullis serve did not get ready (exit code ${child.exitCode}):\n${this.#output}`);
      }
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** A token that this server accepts, or would if it were not for `options`. */
  mint(sub: string, ...options: string[]): string {
    return execFileSync(binary(), ['token', 'mint', '--data-dir', this.#data, '--sub', sub, ...options], { encoding: 'utf8' }).trim();
  }

  /** Runs `portcullis COMMAND …` on this server's data, as an operator does beside it. */
  run(...command: string[]): void {
    execFileSync(binary(), [...command, '--data-dir', this.#data], { stdio: 'pipe' });
  }

  /** Ends the process, as an operator does or as a crash; the data stay for a restart. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once('exit', done));
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(late);
  }

  /** Ends the process and removes its data. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#data, { recursive: true, force: true });
  }
}

/** The binary under test: `PORTCULLIS_BIN`, or what cargo built last for a release, or else for development. */
function binary(): string {
  const named = process.env['PORTCULLIS_BIN'];
  const candidates = named === undefined ? ['target/release/portcullis', 'target/debug/portcullis'].map((path) => join(ROOT, path)) : [named];
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`no portcullis binary at ${candidates.join(' or ')}: run "cargo build" or set PORTCULLIS_BIN`);
  return found;
}

/** The ready file may be seen while it is still being written. */
function readReady(path: string): { gateway: string; auth: string; admin: string } | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { gateway: string; auth: string; admin: string };
  } catch {
    return undefined;
  }
}
