import { defineConfig } from 'vitest/config';

/** Against a real `portcullis serve`, named by `PORTCULLIS_BIN`. */
export default defineConfig({ test: { include: ['test/e2e/*.test.ts'], testTimeout: 30_000, hookTimeout: 90_000 } });
