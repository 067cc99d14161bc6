// Says what a browser loads for each page, and fails above the committed budget.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const read = (name) => readFileSync(fileURLToPath(new URL(`../${name}`, import.meta.url)));
const budgets = JSON.parse(read('size-budget.json'));

for (const [page, budget] of Object.entries(budgets)) {
  const html = read(`dist/${page}`).toString();
  const files = [page, ...Array.from(html.matchAll(/(?:src|href)="\/([^"]+)"/g), ([, name]) => name)];
  const gzip = files.reduce((sum, name) => sum + gzipSync(read(`dist/${name}`), { level: 9 }).length, 0);
  console.log(`${page}: ${files.length} files, ${gzip} B gzip (budget: ${budget} B)`);
  if (gzip > budget) {
    console.error('Over budget. Make it smaller, or raise size-budget.json and say why in the commit.');
    process.exitCode = 1;
  }
}
