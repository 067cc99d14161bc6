import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Real Chromium against a real `portcullis serve`. One file at a time: the cases are about behaviour, not about load. */
export default defineConfig({
  resolve: { alias: { '@portcullis/client': fileURLToPath(new URL('../clients/typescript/src/index.ts', import.meta.url)) } },
  test: {
    include: ['test/e2e/**/*.test.ts'],
    fileParallelism: false,
    // Times are bounds for what hangs, and not for a busy machine.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 30_000 } },
  },
});
