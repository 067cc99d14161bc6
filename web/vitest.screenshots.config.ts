import { defineConfig } from 'vitest/config';

export default defineConfig({ test: { include: ['test/screenshots.ts'], testTimeout: 180_000 } });
