import { defineConfig } from 'vitest/config';
import { fileURLToPath } from 'node:url';

export default defineConfig({
  resolve: { alias: { '@portcullis/client': fileURLToPath(new URL('../clients/typescript/src/index.ts', import.meta.url)) } },
  // The time is a bound for what hangs, and not for a busy machine.
  test: { include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 },
});
