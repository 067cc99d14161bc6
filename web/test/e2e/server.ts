/** A real server for the tests: `portcullis serve` on free ports, with its own data directory, ended by its pid. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

export class Server {
  readonly gateway: string;
  readonly auth: string;
  readonly #process: ChildProcess;
  readonly #data: string;

  private constructor(process: ChildProcess, data: string, ready: { gateway: string; auth: string }) {
    this.#process = process;
    this.#data = data;
    this.gateway = ready.gateway;
    this.auth = ready.auth;
  }

  /** Starts a server that knows `users` (name to password), and waits until it accepts. */
  static async start(users: Readonly<Record<string, string>>, config = ''): Promise<Server> {
    const data = mkdtempSync(join(tmpdir(), 'portcullis-e2e-'));
    for (const [name, password] of Object.entries(users)) {
      execFileSync(binary(), ['users', 'add', name, '--password-stdin', '--data-dir', data], { input: `${password}\n`, stdio: 'pipe' });
    }
    const readyFile = join(data, 'ready.json');
    const configFile = join(data, 'portcullis.toml');
    writeFileSync(configFile, config);
    const args = ['serve', '--listen', '127.0.0.1:0', '--auth-listen', '127.0.0.1:0', '--data-dir', data, '--ready-file', readyFile];
    const child = spawn(binary(), config === '' ? args : [...args, '--config', configFile], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const deadline = Date.now() + 60_000;
    for (;;) {
      const ready = readReady(readyFile);
      if (ready !== undefined) return new Server(child, data, ready);
      if (child.exitCode !== null || Date.now() > deadline) {
        child.kill('SIGKILL');
        throw new Error(`portcullis serve did not get ready (exit code ${child.exitCode}):\n${output}`);
      }
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** A token that this server accepts, or would if it were not for `options`. */
  mint(sub: string, ...options: string[]): string {
    return execFileSync(binary(), ['token', 'mint', '--data-dir', this.#data, '--sub', sub, ...options], { encoding: 'utf8' }).trim();
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#process.once('exit', done));
    if (this.#process.exitCode === null) {
      this.#process.kill('SIGTERM');
      const late = setTimeout(() => this.#process.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(late);
    }
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
function readReady(path: string): { gateway: string; auth: string } | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { gateway: string; auth: string };
  } catch {
    return undefined;
  }
}
