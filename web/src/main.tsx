import { render } from 'preact';
import { App } from './app/app.tsx';
import { start } from './app/store.ts';

const root = document.getElementById('app');
if (root !== null) render(<App />, root);
void start();
// A one-time link pasted into the address bar of this very page changes only the fragment.
addEventListener('hashchange', () => {
  if (location.hash.startsWith('#link=')) void start();
});
