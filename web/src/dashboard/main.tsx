import { render } from 'preact';
import { App } from './app.tsx';
import { start } from './store.ts';

const root = document.getElementById('dashboard');
if (root === null) throw new Error('the page has no place for the dashboard');
render(<App />, root);
start();
