import { Lexer } from 'marked';
import { describe, expect, test, vi } from 'vitest';
import { parseInline } from '../../src/lib/markdown/lexer.ts';
import { parseMarkdown } from '../../src/lib/markdown/stream.ts';
import type { Block, Inline } from '../../src/lib/markdown/tree.ts';

const text = (value: string) => ({ kind: 'text', text: value }) as const;
const strong = (...children: readonly Inline[]) => ({ kind: 'strong', children }) as const;
const em = (...children: readonly Inline[]) => ({ kind: 'em', children }) as const;
const code = (value: string) => ({ kind: 'code', text: value }) as const;
const link = (href: string, label = href) => ({ kind: 'link', href, children: [text(label)] }) as const;
const list = (items: readonly (readonly Block[])[]) => ({ kind: 'list', ordered: false, start: 1, items }) as const;
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
    ['Title\n=====', [{ kind: 'heading', level: 1, children: [text('Title')] }]],
    ['###### deep', [{ kind: 'heading', level: 6, children: [text('deep')] }]],
    ['~~~\n```\n~~~', [{ kind: 'code', language: '', text: '```' }]],
    ['````md title="x"\n```\n````', [{ kind: 'code', language: 'md', text: '```' }]],
    ['```\n\na\n\n```', [{ kind: 'code', language: '', text: '\na\n' }]],
    ['    a\n\n    b', [{ kind: 'code', language: '', text: 'a\n\nb' }]],
    ['- a\n* b', [list([[paragraph('a')]]), list([[paragraph('b')]])]],
    ['- [x] done\n- [ ] not', [list([[paragraph('☑ done')], [paragraph('☐ not')]])]],
    ['- [x] done\n\n- [ ] not', [list([[paragraph('☑ done')], [paragraph('☐ not')]])]],
    ['> a\n>\n> > b\n> - c', [{ kind: 'quote', children: [paragraph('a'), { kind: 'quote', children: [paragraph('b')] }, list([[paragraph('c')]])] }]],
    ['| a |\n|---|\n| `x\\|y` |', [{ kind: 'table', head: [[text('a')]], rows: [[[{ kind: 'code', text: 'x|y' }]]] }]],
    ['| a |\n|---|\n| b<br>c |', [{ kind: 'table', head: [[text('a')]], rows: [[[text('b'), { kind: 'break' }, text('c')]]] }]],
    // marked itself throws here.
    ['- a\n  > - \n  b', [list([[paragraph('a\n> - \nb')]])]],
    ['[a]: https://a.test/ "t"', [{ kind: 'paragraph', children: [text('[a]: '), link('https://a.test/'), text(' "t"')] }]],
    ['<details>\n**a**\n</details>', [{ kind: 'paragraph', children: [text('<details>\n'), strong(text('a')), text('\n</details>')] }]],
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
    ['**a *b* c**', [strong(text('a '), em(text('b')), text(' c'))]],
    ['*a **b** c*', [em(text('a '), strong(text('b')), text(' c'))]],
    ['***both***', [em(strong(text('both')))]],
    ['_em_ and __strong__', [em(text('em')), text(' and '), strong(text('strong'))]],
    ['**bold**: and **`code`**', [strong(text('bold')), text(': and '), strong(code('code'))]],
    ['~~gone~~', [{ kind: 'strike', children: [text('gone')] }]],
    ['\\*not\\* \\_em\\_ \\`x\\` \\[a](b)', [text('*not* _em_ `x` [a](b)')]],
    ['``a ` b`` and `` ` ``', [code('a ` b'), text(' and '), code('`')]],
    ['`a`b`', [code('a'), text('b`')]],
    ['[site](https://a.test/x "a title")', [link('https://a.test/x', 'site')]],
    ["[site](<https://a.test/(x)> 'a title')", [link('https://a.test/(x)', 'site')]],
    ['[**a** b](https://a.test/)', [{ kind: 'link', href: 'https://a.test/', children: [strong(text('a')), text(' b')] }]],
    ['[a [b] c](https://a.test/x_(y))', [link('https://a.test/x_(y)', 'a [b] c')]],
    ['[a](https://a.test/?x=1&amp;y=2)', [link('https://a.test/?x=1&y=2', 'a')]],
    ['<https://a.test/x> <b@a.test>', [link('https://a.test/x'), text(' '), link('mailto:b@a.test', 'b@a.test')]],
    ['(https://a.test/x_(y)) www.a.test', [text('('), link('https://a.test/x_(y)'), text(') '), link('http://www.a.test/', 'www.a.test')]],
    ['![a picture](https://a.test/x.png)', [link('https://a.test/x.png', 'a picture')]],
    ['[![badge](https://a.test/x.svg)](https://a.test/)', [link('https://a.test/', 'badge')]],
    ['a [b][c] [d] [^1]', [text('a [b][c] [d] [^1]')]],
    ['one  \ntwo\\\nthree\nfour', [text('one'), { kind: 'break' }, text('two'), { kind: 'break' }, text('three\nfour')]],
    ['&lt;b&gt; &#42;a&#x2A; &nosuch; &amp;lt; R&D', [text('<b> *a* &nosuch; &lt; R&D')]],
    ['`&lt;`', [code('&lt;')]],
    ['&#0; &#xD800; &#1114112;', [text('\u{fffd} \u{fffd} \u{fffd}')]],
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

test('a text on which the lexer gives up is shown as it was written', () => {
  const give = () => {
    throw new Error('Infinite loop');
  };
  const blocks = vi.spyOn(Lexer.prototype, 'blockTokens').mockImplementation(give);
  expect(parseMarkdown('# a\n\n*b*')).toEqual([paragraph('# a\n\n*b*')]);
  blocks.mockRestore();
  const inline = vi.spyOn(Lexer.prototype, 'inlineTokens').mockImplementation(give);
  expect(parseMarkdown('# *a*')).toEqual([{ kind: 'heading', level: 1, children: [text('*a*')] }]);
  inline.mockRestore();
});
