import { defineConfig } from 'vitest/config';
import { fileURLToPath } from 'node:url';

export default defineConfig({
  resolve: { alias: { '@portcullis/client': fileURLToPath(new URL('../clients/typescript/src/index.ts', import.meta.url)) } },
  test: { include: ['test/unit/**/*.test.ts'] },
});
