import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';
import { mockGateway } from './mock/plugin.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const client = join(here, '../clients/typescript/src');

/** What the page is made of: equal sources give an equal build id, on any machine and without git. */
const sources = ['index.html', 'dashboard.html', 'package-lock.json', 'vite.config.ts', 'src', client];

export default defineConfig({
  plugins: [buildId(), mockGateway()],
  resolve: { alias: { '@portcullis/client': join(client, 'index.ts') } },
  build: {
    target: 'es2022',
    // The content security policy allows files of this origin only: nothing is inlined, not even a small icon.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    // The server tells the operator dashboard's files by their names: only its admin listener serves them.
    rolldownOptions: { input: { index: join(here, 'index.html'), dashboard: join(here, 'dashboard.html') } },
  },
  server: { port: 5173 },
});

/** Names the build in the page and in `build.json`, from where the server takes it: a page and a server that differ can tell. */
function buildId(): Plugin {
  const id = sourceHash();
  return {
    name: 'portcullis-build-id',
    transformIndexHtml: () => [{ tag: 'meta', attrs: { name: 'portcullis-build', content: id }, injectTo: 'head' }],
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: 'build.json', source: `${JSON.stringify({ build: id })}\n` });
    },
  };
}

function sourceHash(): string {
  const hash = createHash('sha256');
  for (const path of sources.flatMap((source) => files(resolve(here, source)))) {
    hash.update(relative(here, path)).update('\0').update(readFileSync(path)).update('\0');
  }
  return hash.digest('hex').slice(0, 12);
}

/** All files at or below `path`, in one order everywhere. */
function files(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
