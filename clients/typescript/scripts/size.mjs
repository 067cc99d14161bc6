// Bundles the client as an application would, prints its size, and fails above the committed budget.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'vite';

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const budget = JSON.parse(readFileSync(path('size-budget.json'), 'utf8'));

const [{ output }] = await build({
  configFile: false,
  logLevel: 'error',
  build: {
    write: false,
    target: 'es2022',
    lib: { entry: path('src/index.ts'), formats: ['es'] },
    rolldownOptions: { output: { minify: true } },
  },
});
const { code, modules } = output[0];
const size = { minified: code.length, gzip: gzipSync(code, { level: 9 }).length, brotli: brotliCompressSync(code).length };

const foreign = Object.keys(modules).filter((id) => id.includes('node_modules'));
console.log(`@portcullis/client: ${size.minified} B minified, ${size.gzip} B gzip, ${size.brotli} B brotli (budget: ${budget.gzip} B gzip)`);
if (foreign.length > 0) {
  console.error(`The client must not depend on anything at run time, yet it bundles:\n${foreign.join('\n')}`);
  process.exitCode = 1;
}
if (size.gzip > budget.gzip) {
  console.error('Over budget. Make it smaller, or raise size-budget.json and say why in the commit.');
  process.exitCode = 1;
}
