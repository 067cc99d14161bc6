/** A text that grows: the result is that of the whole text at once, and the work that of what was added. */

import fc from 'fast-check';
import { Lexer } from 'marked';
import { describe, expect, test } from 'vitest';
import { lexBlocks, PIECE, toBlock } from '../../src/lib/markdown/lexer.ts';
import { MarkdownStream, parseMarkdown } from '../../src/lib/markdown/stream.ts';
import type { Block, Inline } from '../../src/lib/markdown/tree.ts';

/** Feeds `text` in additions that end at `ends`, and holds each state against that of the text so far at once. */
function grow(text: string, ends: readonly number[], check: (blocks: Block[], soFar: string) => void): void {
  const stream = new MarkdownStream();
  let from = 0;
  for (const end of [...new Set([...ends, text.length])].toSorted((a, b) => a - b)) {
    stream.append(text.slice(from, end));
    from = end;
    check(stream.groups.flat(), text.slice(0, end));
  }
}

/** What Markdown is made of, so that a random text is full of marks that begin, end and contradict one another. */
const FRAGMENTS = [
  'word', 'two words', ' ', '  ', '    ', '\t', '\n', '\n', '\n\n', '\r\n', '\r', '# ', '## x', ' #', '---', '***', '===', '- ', '* ', '+ ', '1. ', '2) ', '- [ ] ', '- [x] ',
  '> ', '>', '```', '```js', '~~~', '`', '``', '*', '**', '_', '__', '~~', '[', ']', '](', '[a](https://a.test/ "t")', '![', '(', ')', '|', '|-|', 'a|b', '\n|---|---|\n', '\n| x | y |',
  '<br>', '<b>', '<!--', 'https://a.test/x', 'www.a.test', 'a@b.test', '[a]: /x', '\\', '\\*', '&amp;', '&#42;', '&', '😀', '\n- a\n- b\n', '\n    code\n', '\n```\nx\n',
];
const markdown = fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 300, size: 'max' }).map((parts) => parts.join(''));

describe('any additions give what the text gives at once', () => {
  test('for random marks', () => {
    fc.assert(
      fc.property(markdown, fc.array(fc.nat(1_200), { maxLength: 12, size: 'max' }), (text, ends) => {
        grow(text, ends.filter((end) => end < text.length), (blocks, soFar) => expect(blocks).toEqual(parseMarkdown(soFar)));
      }),
      { numRuns: 500 },
    );
  });

  test('for texts in which blocks are too long for one piece', () => {
    const long = fc
      .array(fc.tuple(fc.constantFrom(...FRAGMENTS, '```js\n', '\n```\n', '| a | b |\n|---|---|\n', '| some | cells |\n', '- an item\n', '> a quote\n'), fc.nat(900)), {
        minLength: 3,
        maxLength: 20,
        size: 'max',
      })
      .map((parts) => parts.map(([fragment, times]) => fragment.repeat(times)).join(''));
    fc.assert(
      fc.property(long, fc.array(fc.nat(60_000), { maxLength: 6, size: 'max' }), (text, ends) => {
        grow(text, ends.filter((end) => end < text.length), (blocks, soFar) => expect(blocks).toEqual(parseMarkdown(soFar)));
      }),
      { numRuns: 40 },
    );
  });

  test('for a text with more elements than are drawn', () => {
    const text = '- a\n- **b**\n\n# c\n\nd\n\n'.repeat(2_000);
    const ends = Array.from({ length: 9 }, (_, index) => 5_777 * index);
    grow(text, ends, (blocks, soFar) => expect(blocks).toEqual(parseMarkdown(soFar)));
  });
});

test('closing blocks changes nothing: the tree is that of the lexer alone', () => {
  const plainly = (text: string) => lexBlocks(text.replaceAll(/\r\n?/g, '\n')).flatMap((token) => toBlock(token) ?? []);
  const text = fc.array(markdown, { maxLength: 4 }).map((parts) => parts.join('\n\n').slice(0, PIECE));
  // Always the same texts: the lexer itself is not quite sure, once in some hundred thousand of them, where a block ends.
  const same = fc.property(text, (source) => {
    expect(parseMarkdown(source)).toEqual(plainly(source));
  });
  fc.assert(same, { numRuns: 1_000, seed: 1 });
});

test('no word is lost or doubled, wherever a block is cut', () => {
  const marks = ['\n', '\n\n', ' ', '\n- ', '\n  - ', '\n1. ', '\n> ', '\n# ', '*', '**', '`', '\n    ', '\n***\n', '\r\n', '<b>', '\n```\n'];
  const text = fc.array(fc.tuple(fc.constantFrom(...marks), fc.integer({ min: 1, max: 400 })), { minLength: 5, maxLength: 40, size: 'max' });
  fc.assert(
    fc.property(text, (parts) => {
      let count = 0;
      const source = parts.map(([mark, words]) => mark + Array.from({ length: words }, () => `w${(count += 1)}w`).join(words % 3 === 0 ? `${mark} ` : ' ')).join('');
      const shown = JSON.stringify(parseMarkdown(source)).match(/w\d+w/g) ?? [];
      expect(shown).toEqual(Array.from({ length: count }, (_, index) => `w${index + 1}w`));
    }),
    { numRuns: 100 },
  );
});

describe('what is too long for one piece goes on', () => {
  const text = (blocks: readonly Block[]) => blocks.flatMap((block) => (block.kind === 'code' ? [block.text] : []));

  test.each(['```js', '~~~', '  ````js title'])('as code, after %s', (fence) => {
    const lines = Array.from({ length: 2_000 }, (_, index) => `- line *${index}*`);
    const mark = fence.trim().replace(/[^`~].*/, '');
    const blocks = parseMarkdown(`${fence}\n${lines.join('\n')}\n${mark}\n\n# behind`);
    expect(blocks.length).toBeGreaterThan(5);
    expect(text(blocks).join('\n')).toBe(lines.join('\n'));
    expect(blocks.map((block) => block.kind === 'code' && block.continued === true).slice(0, 3)).toEqual([false, true, true]);
    expect(blocks.at(-1)).toMatchObject({ kind: 'heading' });
  });

  test('as a table, with its head', () => {
    const blocks = parseMarkdown(`| a | b |\n|---|---|\n${'| c | *d* |\n'.repeat(1_000)}\nbehind`);
    const tables = blocks.flatMap((block) => (block.kind === 'table' ? [block] : []));
    expect(tables).toHaveLength(blocks.length - 1);
    expect(tables.reduce((sum, { rows }) => sum + rows.length, 0)).toBe(1_000);
    for (const { head } of tables) expect(head).toEqual(tables[0]?.head);
  });

  test('as a list, with the next number', () => {
    const blocks = parseMarkdown(Array.from({ length: 600 }, (_, index) => `${index + 1}. an *item*\n    - below\n`).join(''));
    let next = 1;
    for (const block of blocks) {
      if (block.kind !== 'list') throw new Error(block.kind);
      expect(block.start).toBe(next);
      next += block.items.length;
    }
    expect(next).toBe(601);
  });

  test('but not where it ends at that very place', () => {
    const line = (cell: string, fill = ' ') => `| ${cell.padEnd(28, fill)}|\n`;
    const table = line('head') + line('-', '-') + line('row').repeat(PIECE / 32 - 2);
    expect(table).toHaveLength(PIECE);
    const behind = Array.from({ length: 60 }, () => 'behind').join(' ');
    for (const between of ['\n', '\n\n', '\n\n\n']) {
      const [first, ...rest] = parseMarkdown(`${table}${between}${behind}\n\nthe end\n\n`);
      expect(first?.kind).toBe('table');
      expect(rest).toEqual([behind, 'the end'].map((words) => ({ kind: 'paragraph', children: [{ kind: 'text', text: words }] })));
    }
    const code = `\`\`\`\n${`${'y'.repeat(31)}\n`.repeat(127)}${'z'.repeat(23)}\n\`\`\`\n`;
    expect(code).toHaveLength(PIECE);
    const blocks = parseMarkdown(`${code}\n${behind}\n\nthe end`);
    expect(blocks.map(({ kind }) => kind)).toEqual(['code', 'paragraph', 'paragraph']);
  });
});

test('no word is lost where there are more elements than are drawn', () => {
  let count = 0;
  const row = () => `|${Array.from({ length: 40 }, () => ` w${(count += 1)}w |`).join('')}\n`;
  const source = `|${' a |'.repeat(40)}\n|${'-|'.repeat(40)}\n${Array.from({ length: 700 }, row).join('')}`;
  const shown = JSON.stringify(parseMarkdown(source)).match(/w\d+w/g) ?? [];
  expect(shown).toEqual(Array.from({ length: count }, (_, index) => `w${index + 1}w`));
});

/** What the lexer is given meanwhile: how many characters in all, and at most at once. */
function watched(work: () => void): { count: number; most: number } {
  const given = { count: 0, most: 0 };
  const { blockTokens, inlineTokens } = Lexer.prototype;
  const watch = (text: string) => {
    given.count += text.length;
    given.most = Math.max(given.most, text.length);
  };
  Lexer.prototype.blockTokens = function (text: string, ...rest: never[]) {
    watch(text);
    return blockTokens.call(this, text, ...rest);
  };
  Lexer.prototype.inlineTokens = function (text: string, ...rest: never[]) {
    watch(text);
    return inlineTokens.call(this, text, ...rest);
  };
  try {
    work();
  } finally {
    Object.assign(Lexer.prototype, { blockTokens, inlineTokens });
  }
  return given;
}

/** How many characters the lexer is given while `text` comes in so many additions of one size. */
function lexed(text: string, additions: number): number {
  const size = Math.ceil(text.length / additions);
  return watched(() => {
    const stream = new MarkdownStream();
    for (let from = 0; from < text.length; from += size) {
      stream.append(text.slice(from, from + size));
      void stream.groups;
    }
  }).count;
}

/** An answer as models write them. */
const SECTION = `## Why the handshake fails

The server answers **401** before the *upgrade*, and a browser hides that: all it says is \`1006\`. See [the reasons](https://a.test/reasons).

1. Copy the token as a whole.
2. Send it in a subprotocol:
   - as \`jwt.<base64url>\`,
   - beside a plain name.

\`\`\`js
const socket = new WebSocket(url, ['jwt-auth', \`jwt.\${base64url(token)}\`]);
socket.onclose = ({ code, reason }) => console.log(code, reason);
\`\`\`

| code | meaning |
|---|---|
| 1006 | refused, or never there |
| 1008 | a credential was refused |

`;

describe('the work is that of what was added', () => {
  const answer = SECTION.repeat(Math.ceil(100_000 / SECTION.length));

  test('for an answer of 100 KB in 1,000 additions', () => {
    const once = lexed(answer, 1);
    expect(once, 'at once').toBeLessThan(8 * answer.length);
    const count = lexed(answer, 1_000);
    expect(count, 'in additions').toBeLessThan(20 * answer.length);
    expect(lexed(answer + answer, 2_000), 'twice as much text, twice the work').toBeLessThan(2.1 * count);
  });

  test.each([
    ['code', '```js\n', 'const a = 1; // and some more\n'],
    ['a list', '', '- an item with some words in it\n'],
    ['a nested list', '- one\n', '  - an item with some words in it\n'],
    ['a table', '| a | b |\n|---|---|\n', '| some | words in a cell |\n'],
    ['a quotation', '', '> some words that were quoted\n'],
    ['a paragraph', '', 'some words in a line of text\n'],
    ['one line', '', 'some words in a line, and on it goes '],
  ])('where all of it is %s', (_name, head, line) => {
    const text = (size: number) => head + line.repeat(Math.ceil(size / line.length));
    const count = lexed(text(40_000), 200);
    expect(lexed(text(80_000), 400)).toBeLessThan(2.2 * count);
  });

  test('and blocks that are closed stay the same objects', () => {
    const stream = new MarkdownStream();
    let before: readonly (readonly Block[])[] = [];
    for (let from = 0; from < answer.length; from += 997) {
      stream.append(answer.slice(from, from + 997));
      const { groups } = stream;
      for (const [index, group] of before.slice(0, -1).entries()) expect(groups[index]).toBe(group);
      const now = groups.flat();
      // The last ones were open.
      for (const [index, block] of before.flat().slice(0, -10).entries()) expect(now[index]).toBe(block);
      before = groups;
    }
    expect(before.length).toBeGreaterThan(5);
  });
});

/** How deep lists, quotations and marks stand in one another, and how many elements and pieces of text there are. */
function extent(blocks: readonly Block[]): { depth: number; size: number } {
  const inside = (children: readonly Inline[]): [number, number] =>
    children.reduce<[number, number]>(([deep, many], mark) => {
      const [below, count] = 'children' in mark ? inside(mark.children) : [0, 0];
      return [Math.max(deep, below + 1), many + count + 1];
    }, [0, 0]);
  const of = (block: Block): [number, number] => {
    switch (block.kind) {
      case 'quote':
        return all(block.children);
      case 'list': {
        const [deep, many] = all(block.items.flat());
        return [deep, many + block.items.length];
      }
      case 'table': {
        const cells = [block.head, ...block.rows].flat();
        const [deep, many] = inside(cells.flat());
        return [deep, many + cells.length];
      }
      case 'paragraph':
      case 'heading':
        return inside(block.children);
      default:
        return [0, 0];
    }
  };
  const all = (list: readonly Block[]): [number, number] =>
    list.map(of).reduce<[number, number]>(([deep, many], [below, count]) => [Math.max(deep, below + 1), many + count + 1], [0, 0]);
  const [depth, size] = all(blocks);
  return { depth, size };
}

describe('a text that means ill costs no more than its length', () => {
  const times = (unit: string, length = 200_000) => unit.repeat(Math.ceil(length / unit.length));
  const stairs = (step: string, length: number) =>
    Array.from({ length: Math.floor(Math.sqrt((2 * length) / step.length)) }, (_, index) => `${step.repeat(index)}- a\n`).join('');

  test.each([
    ['stars', times('*', 1_000_000)],
    ['emphasis that nothing ends', times('a **b* ')],
    ['emphasis in emphasis', times('*a **b ')],
    ['intertwined marks', times('**a*b ')],
    ['marks of all kinds', times('*_~[`<|>-#&\\!')],
    ['brackets', times('[', 100_000)],
    ['links that nothing ends', times('[a](')],
    ['links in links', times('[[a](b)](')],
    ['pictures', times('![')],
    ['ticks', times('`a ``b ')],
    ['tags', times('<a b="')],
    ['breaks', times('<br>')],
    ['addresses', times('https://a.')],
    ['references', times('&#1;')],
    ['quotations on a line', `${'>'.repeat(10_000)} a`],
    ['quotations in quotations', times('>', 1_000_000)],
    ['stairs of quotations', Array.from({ length: 1_400 }, (_, index) => `${'>'.repeat(index)} a\n`).join('')],
    ['lists on a line', times('- ')],
    ['lists on a line, and then blank lines', `${'- '.repeat(50_000)}a\n${'\n'.repeat(500_000)}b`],
    ['numbers on a line', times('1. ')],
    ['stairs of lists', stairs(' ', 500_000)],
    ['items', times('- a\n', 1_000_000)],
    ['items with blank lines', times('- a\n\n')],
    ['headings', times('# a\n')],
    ['headings with lines below', times('a\n-\n')],
    ['a table of 10,000 columns', `|${'a|'.repeat(10_000)}\n|${'-|'.repeat(10_000)}\n|${'b|'.repeat(10_000)}\n`],
    ['a wide table with empty rows', `|${'a|'.repeat(64)}\n|${'-|'.repeat(64)}\n${times('|\n')}`],
    ['tables', times('|a|b\n|-|-\n')],
    ['rows', `a|b\n-|-\n${times('a|b\n')}`],
    ['fences', times('```\n')],
    ['definitions', times('[a]: b\n')],
    ['line ends', times('\r\n')],
    ['one long line', times('word ', 1_000_000)],
  ])('%s', (_name, text) => {
    let blocks: Block[] = [];
    const { count, most } = watched(() => (blocks = parseMarkdown(text)));
    expect(most, 'no piece is long').toBeLessThan(6_000);
    expect(count, 'characters that the lexer was given').toBeLessThan(30 * text.length);
    const { depth, size } = extent(blocks);
    expect(depth, 'depth').toBeLessThan(20);
    expect(size, 'elements').toBeLessThan(21_000);
  });
});
