// Builds every example as a library: what does not compile does not stand in the documentation.

import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export default defineConfig({
  plugins: [vue(), svelte()],
  resolve: { alias: { '@portcullis/client': path('../../clients/typescript/src/index.ts') } },
  build: {
    lib: { entry: ['plain.js', 'client.ts', 'react.tsx', 'Chat.vue', 'Chat.svelte'].map(path), formats: ['es'] },
    rolldownOptions: { external: [/^react/, /^vue$/, /^svelte/] },
  },
});
