/** Small plain components. */

import iconUrl from './icon.svg';

export function Brand({ large = false }: { large?: boolean }) {
  return (
    <span class={large ? 'brand large' : 'brand'}>
      <img src={iconUrl} alt="" width={large ? 44 : 28} height={large ? 44 : 28} />
      <span>Portcullis</span>
    </span>
  );
}

/** The server's own documentation, beside the page and not in its place: a conversation stays where it is. */
export function DocsLink() {
  return (
    <a class="docs-link" href="/docs/" target="_blank" rel="noreferrer">
      Documentation
    </a>
  );
}

/** With a label it speaks for itself; without one it stands beside words. */
export function Spinner({ label }: { label?: string }) {
  return <span class="spinner" {...(label === undefined ? { 'aria-hidden': true } : { role: 'img', 'aria-label': label })} />;
}

/** One letter-like sign, drawn in the colour of the text around it. */
export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="18" height="18" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

const PATHS = {
  play: 'M7 5.2v9.6l7.6-4.8z',
  thought: 'M10 3.5a5 5 0 0 0-2.8 9.1c.5.4.8.9.8 1.6v.3h4v-.3c0-.7.3-1.2.8-1.6A5 5 0 0 0 10 3.5zM8.3 17h3.4',
  tool: 'M12.6 3.6a4 4 0 0 0-4.7 5.3L3.5 13.3a1.8 1.8 0 0 0 2.6 2.6l4.4-4.4a4 4 0 0 0 5.3-4.7l-2.4 2.4-2.3-.6-.6-2.3z',
  check: 'M4.5 10.5l3.6 3.6 7.4-8.2',
  cross: 'M5.5 5.5l9 9m0-9l-9 9',
  flag: 'M5.5 17V3.5m0 .6h8.6l-1.9 3 1.9 3H5.5',
  send: 'M10 16V4.5m0 0L5 9.4m5-4.9l5 4.9',
  stop: 'M6 6h8v8H6z',
  plus: 'M10 4.5v11M4.5 10h11',
  menu: 'M3.5 6h13M3.5 10h13M3.5 14h13',
  trash: 'M4.5 6h11M8 6V4.2h4V6m-6.6 0l.8 10h7.6l.8-10',
  hand: 'M10 3.5v6.5m0 3.4v.1M10 2l8 14.5H2z',
} as const;
