import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { safeAddress } from '../../src/lib/address.ts';
import { parseInline } from '../../src/lib/markdown/lexer.ts';

const PAGE = 'https://gate.test:8443/chat?x#y';

describe('may be followed', () => {
  test.each([
    ['https://a.test', 'https://a.test/'],
    ['HTTP://A.test/B', 'http://a.test/B'],
    ['https://a.test/x?y=1#z', 'https://a.test/x?y=1#z'],
    ['https://a.test/%5Cb', 'https://a.test/%5Cb'],
    ['https://bücher.test/', 'https://xn--bcher-kva.test/'],
    ['mailto:ada@a.test', 'mailto:ada@a.test'],
    ['/docs/', 'https://gate.test:8443/docs/'],
    ['/docs/../x', 'https://gate.test:8443/x'],
    ['/@evil.test', 'https://gate.test:8443/@evil.test'],
    ['/', 'https://gate.test:8443/'],
  ])('%j as %s', (written, href) => {
    expect(safeAddress(written, PAGE)).toBe(href);
  });
});

/** What browsers take for another scheme or another host, and what leads to nobody knows where. */
const UNSAFE = [
  '',
  ' ',
  '#x',
  'x',
  './x',
  '../x',
  '?x',
  'docs/',
  '\\evil.test',
  '/\\evil.test',
  '\\/evil.test',
  '\\\\evil.test',
  '//evil.test',
  '///evil.test',
  '////evil.test',
  '/./\\evil.test',
  '/\t/evil.test',
  '/\n/evil.test',
  '/\r/evil.test',
  '\t//evil.test',
  ' //evil.test',
  '/ /evil.test\u0000',
  '/\u0000/evil.test',
  'https:evil.test',
  'https:/evil.test',
  'https:\\\\evil.test',
  'https:\\evil.test',
  'https://a.test\\@evil.test',
  'https://a.test\\evil.test',
  'https://a.test@evil.test/',
  'https://user:word@a.test/',
  'ht\ntps://a.test/',
  'https://a.test/\nx',
  'https://a.test/ x',
  'https://',
  'https://[x',
  'https://a b/',
  'javascript:alert(1)',
  'JaVaScRiPt:alert(1)',
  ' javascript:alert(1)',
  'java\tscript:alert(1)',
  'javascript\n:alert(1)',
  '\u0001javascript:alert(1)',
  'javascript://a.test/%0aalert(1)',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:x',
  'blob:https://gate.test:8443/x',
  'filesystem:https://gate.test:8443/x',
  'view-source:https://a.test/',
  'file:///etc/passwd',
  'ftp://a.test/',
  'ws://a.test/',
  'tel:1',
  'about:blank',
];

describe('stays text', () => {
  test.each(UNSAFE)('%j', (written) => {
    expect(safeAddress(written, PAGE)).toBeUndefined();
  });

  test('where there is no page, what would be beside it', () => {
    expect(safeAddress('/docs/', undefined)).toBeUndefined();
    expect(safeAddress('/docs/', 'about:blank')).toBeUndefined();
    expect(safeAddress('https://a.test/', undefined)).toBe('https://a.test/');
  });
});

describe('in Markdown', () => {
  beforeAll(() => void vi.stubGlobal('location', new URL(PAGE)));
  afterAll(() => void vi.unstubAllGlobals());

  /** What browsers make of the links in a text. */
  const hosts = (source: string) =>
    [...JSON.stringify(parseInline(source)).matchAll(/"href":"([^"]*)"/g)].map(([, href]) => new URL(href ?? '', PAGE)).map(({ protocol, host }) => `${protocol}${host}`);

  test('a link leads where it is written', () => {
    expect(hosts('[a](/docs/) [b](https://a.test/x)')).toEqual(['https:gate.test:8443', 'https:a.test']);
  });

  test.each(UNSAFE)('%j leads nowhere else, whichever way it is written', (written) => {
    const references = [...written].map((sign) => `&#${sign.codePointAt(0)};`).join('');
    const escaped = written.replaceAll(/[!-/:-@[-`{-~]/g, '\\$&');
    const named = written.replaceAll(':', '&colon;').replaceAll('\t', '&Tab;').replaceAll('\\', '&bsol;');
    for (const href of [written, references, escaped, named].flatMap((form) => [form, `<${form}>`])) {
      for (const source of [`[x](${href})`, `![x](${href})`, `[x](${href} "t")`, `<${href}>`]) {
        for (const host of hosts(source)) expect(host, source).toMatch(/^(?:https?:(?!.*evil)|mailto:)/);
      }
    }
  });
});
