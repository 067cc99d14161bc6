import { defineConfig } from 'vitest/config';

// The time is a bound for what hangs, and not for a busy machine.
export default defineConfig({ test: { include: ['test/*.test.ts'], testTimeout: 60_000 } });
