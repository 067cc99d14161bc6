/** Text that grows, and what its Markdown says. */

import { asWritten, type BlockToken, cut, lexBlocks, PIECE, toBlock } from './lexer.ts';
import type { Block, Inline } from './tree.ts';

/** Parses a text as a whole. */
export function parseMarkdown(text: string): Block[] {
  const stream = new MarkdownStream();
  stream.append(text);
  return stream.groups.flat();
}

/**
 * A text that grows. Of what was there before, only the end is looked at again: the blocks before it are closed, and stay as
 * they are. A block longer than a piece is closed all the same and goes on as another one, so what an addition costs does not
 * grow with the text.
 *
 * The result depends on the text alone, and not on the additions that it came in: where blocks to close are looked for
 * follows from where the last ones ended.
 */
export class MarkdownStream {
  /** What was added since somebody looked. */
  #added = '';
  #endedInReturn = false;
  readonly #closed: Block[][] = [[]];
  /** How many elements and pieces of text the closed blocks make. */
  #size = 0;
  /** The text from the beginning of the last block on. */
  #rest = '';
  /** Lines to be read before the rest, where it goes on with a block that was too long. */
  #head = '';
  /** At the first end of a line from here on in the rest, blocks to close are looked for. */
  #due = SOON;
  #open: Block[] = [];

  append(text: string): void {
    this.#added += text;
  }

  /** The blocks in groups. All groups but the last stay the same arrays for good. */
  get groups(): readonly (readonly Block[])[] {
    if (this.#added !== '') this.#read();
    const last = this.#closed.length - 1;
    return this.#closed.map((group, index) => (index === last ? [...group, ...this.#open] : group));
  }

  #read(): void {
    const text = this.#endedInReturn && this.#added.startsWith('\n') ? this.#added.slice(1) : this.#added;
    this.#endedInReturn = this.#added.endsWith('\r');
    this.#added = '';
    this.#rest += text.replaceAll(/\r\n?/g, '\n');
    while (this.#close());
    this.#open = this.#openBlocks();
  }

  /** Looks once for blocks to close; says whether to look again. */
  #close(): boolean {
    const reach = this.#rest.slice(0, PIECE);
    const line = reach.indexOf('\n', this.#due - 1) + 1;
    if (line === 0 && this.#rest.length <= PIECE) return false;
    // The last line may become another one by a further character, and so may what stands before it.
    const piece = line === 0 ? cut(this.#rest) : reach.slice(0, line);
    const tokens = this.#lex(piece);
    const last = tokens.findLastIndex(({ type }) => type !== 'space');
    const [first] = tokens;
    if (first === undefined) return false;
    if (last > 0) this.#closeAll(tokens.slice(0, last));
    else if (line > 0) this.#due = Math.ceil(line * LATER);
    else if (first.type === 'list' && first.items.length > 1) {
      const items = first.items.slice(0, -1);
      this.#closeAll([{ ...first, items, raw: items.map(({ raw }) => raw).join('') }]);
    } else {
      const head = tokens.length === 1 ? headToGoOn(first) : '';
      this.#closeAll([{ ...first, raw: this.#head + piece }]);
      this.#head = head;
    }
    return true;
  }

  /** Closes these blocks, with which the head and the rest begin. */
  #closeAll(tokens: readonly BlockToken[]): void {
    let end = 0;
    for (const token of tokens) {
      const { block, size } = shown(token, end === 0 ? this.#head : '', this.#size);
      end += token.raw.length;
      this.#size = size;
      if (block !== undefined) this.#push(block);
    }
    this.#rest = this.#rest.slice(end - this.#head.length);
    this.#head = '';
    this.#due = SOON;
  }

  #push(block: Block): void {
    const group = this.#closed.at(-1);
    if (group !== undefined && group.length < GROUP) group.push(block);
    else this.#closed.push([block]);
  }

  #openBlocks(): Block[] {
    const blocks: Block[] = [];
    let head = this.#head;
    let soFar = this.#size;
    for (const token of this.#lex(this.#rest)) {
      const { block, size } = shown(token, head, soFar);
      if (block !== undefined) blocks.push(block);
      head = '';
      soFar = size;
    }
    return blocks;
  }

  #lex(text: string): BlockToken[] {
    if (text === '') return [];
    return this.#isFull() ? [asWritten(text)] : lexBlocks(this.#head + text);
  }

  #isFull(): boolean {
    return this.#size > MAX_SIZE;
  }
}

/** The block of a token, and how many elements there are with it. Where these are too many it is shown as it was written. */
function shown(token: BlockToken, head: string, before: number): { block: Block | undefined; size: number } {
  const block = toBlock(token);
  if (block === undefined) return { block, size: before };
  const size = before + sizeOf(block);
  if (size > MAX_SIZE) return { block: toBlock(asWritten(token.raw.slice(head.length))), size };
  if (head === '') return { block, size };
  // What went on may have ended at once.
  if (block.kind === 'table') return { block: block.rows.length === 0 ? undefined : block, size };
  if (block.kind === 'code') return { block: block.text === '' ? undefined : { ...block, continued: true }, size };
  return { block, size };
}

/** The lines of a block that its continuation needs before it to be read as one: the opening of a fence, the head of a table. */
function headToGoOn(token: BlockToken): string {
  const lines = token.raw.split('\n', 2);
  const [first = ''] = lines;
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(first)?.[1];
  let head = '';
  if (token.type === 'code' && fence !== undefined && !endsFence(token.raw, fence)) head = `${first}\n`;
  if (token.type === 'table') head = `${lines.join('\n')}\n`;
  return head.length <= MAX_HEAD ? head : '';
}

/** Whether a block of code that begins with `fence` has its end. */
function endsFence(raw: string, fence: string): boolean {
  const last = raw.trimEnd().split('\n').slice(1).at(-1)?.trim() ?? '';
  return last.startsWith(fence) && last === fence.charAt(0).repeat(last.length);
}

function sizeOf(block: Block): number {
  switch (block.kind) {
    case 'paragraph':
    case 'heading':
      return 1 + sizeOfMarks(block.children);
    case 'quote':
      return 1 + sum(block.children, sizeOf);
    case 'list':
      return 1 + sum(block.items, (item) => 1 + sum(item, sizeOf));
    case 'table':
      return 1 + sum([block.head, ...block.rows], (row) => 1 + sum(row, (cell) => 1 + sizeOfMarks(cell)));
    case 'code':
    case 'rule':
      return 1;
    default:
      return block satisfies never;
  }
}

function sizeOfMarks(marks: readonly Inline[]): number {
  return sum(marks, (mark) => 1 + ('children' in mark ? sizeOfMarks(mark.children) : 0));
}

function sum<T>(all: readonly T[], sizeOne: (one: T) => number): number {
  return all.reduce((total, one) => total + sizeOne(one), 0);
}

/** Blocks to close are looked for after so many characters; and where there are none, again when there is so much more. */
const SOON = 256;
const LATER = 1.5;
/** So many blocks make a group. */
const GROUP = 50;
/** So many elements and pieces of text an answer may have; what comes then is shown as it was written. */
const MAX_SIZE = 20_000;
const MAX_HEAD = 1_024;
