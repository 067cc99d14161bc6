import { describe, expect, test } from 'vitest';
import { type Block, parseInline, parseMarkdown } from '../../src/lib/markdown.ts';

const text = (value: string) => ({ kind: 'text', text: value }) as const;
const paragraph = (value: string) => ({ kind: 'paragraph', children: [text(value)] }) as const;

describe('blocks', () => {
  test.each<[string, Block[]]>([
    ['', []],
    ['\n\n  \n', []],
    ['one\ntwo\n\nthree', [paragraph('one\ntwo'), paragraph('three')]],
    ['## Title ##', [{ kind: 'heading', level: 2, children: [text('Title')] }]],
    ['#hash', [paragraph('#hash')]],
    ['---', [{ kind: 'rule' }]],
    ['```js\na < b\n\n# no heading\n```\nafter', [{ kind: 'code', language: 'js', text: 'a < b\n\n# no heading' }, paragraph('after')]],
    ['```\nstill stream', [{ kind: 'code', language: '', text: 'still stream' }]],
    ['> a\n> b', [{ kind: 'quote', children: [paragraph('a\nb')] }]],
    ['- a\n- b', [{ kind: 'list', ordered: false, start: 1, items: [[paragraph('a')], [paragraph('b')]] }]],
    ['3. a\n4. b', [{ kind: 'list', ordered: true, start: 3, items: [[paragraph('a')], [paragraph('b')]] }]],
    [
      '- a\n  - b\n- c',
      [
        {
          kind: 'list', ordered: false, start: 1,
          items: [[paragraph('a'), { kind: 'list', ordered: false, start: 1, items: [[paragraph('b')]] }], [paragraph('c')]],
        },
      ],
    ],
    ['1. a\n\n   ```\n   x\n   ```', [{ kind: 'list', ordered: true, start: 1, items: [[paragraph('a'), { kind: 'code', language: '', text: 'x' }]] }]],
    ['text\n- item', [paragraph('text'), { kind: 'list', ordered: false, start: 1, items: [[paragraph('item')]] }]],
    [
      '| a | b |\n|---|:-:|\n| 1 | 2 |',
      [{ kind: 'table', head: [[text('a')], [text('b')]], rows: [[[text('1')], [text('2')]]] }],
    ],
    ['a | b', [paragraph('a | b')]],
    ['one\r\n\r\ntwo', [paragraph('one'), paragraph('two')]],
  ])('%j', (source, tree) => {
    expect(parseMarkdown(source)).toEqual(tree);
  });
});

describe('marks', () => {
  test.each<[string, ReturnType<typeof parseInline>]>([
    ['plain', [text('plain')]],
    ['a `b*c*` d', [text('a '), { kind: 'code', text: 'b*c*' }, text(' d')]],
    ['**bold** and *soft*', [{ kind: 'strong', children: [text('bold')] }, text(' and '), { kind: 'em', children: [text('soft')] }]],
    ['2 * 3 * 4', [text('2 * 3 * 4')]],
    ['snake_case_name', [text('snake_case_name')]],
    ['[site](https://a.test/x)', [{ kind: 'link', href: 'https://a.test/x', children: [text('site')] }]],
    ['see https://a.test/x.', [text('see '), { kind: 'link', href: 'https://a.test/x', children: [text('https://a.test/x')] }, text('.')]],
    ["['jwt', token]", [text("['jwt', token]")]],
  ])('%j', (source, nodes) => {
    expect(parseInline(source)).toEqual(nodes);
  });
});

describe('what an agent writes never becomes markup or a script', () => {
  test.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '[click](javascript:alert(1))',
    '[click](JaVaScRiPt:alert(1))',
    '[click](data:text/html,x)',
    '[click](//evil.test)',
    '[click](vbscript:x)',
  ])('%s stays text', (source) => {
    expect(parseMarkdown(source)).toEqual([paragraph(source)]);
  });
});

// Milliseconds where the time grows with the length; minutes, and so the runner's timeout, where it grows with its square.
test.each([
  ['stars', '*'.repeat(400_000)],
  ['brackets', '['.repeat(400_000)],
  ['half-open links', '[a]('.repeat(100_000)],
  ['ticks', '`a '.repeat(133_333)],
  ['quotes', '>'.repeat(400_000)],
  ['half-open bold', '**a*b '.repeat(70_000)],
  ['addresses', 'https://a.'.repeat(40_000)],
  ['items', '- a\n'.repeat(30_000)],
  ['rows', '|a|b\n|-|-\n'.repeat(30_000)],
])('a great many %s are parsed in time', { timeout: 20_000 }, (_name, source) => {
  expect(parseMarkdown(source).length).toBeGreaterThan(0);
});
