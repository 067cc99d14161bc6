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
 * A text that grows. Of what was there before, only the last block is looked at again: those before it are closed, and
 * nothing that comes can change them. A block longer than a piece is closed all the same and goes on as another one, so what
 * an addition costs does not grow with the text.
 *
 * The result depends on the text alone, and not on the additions that it came in.
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
    if (this.#rest.length > PIECE || /[\r\n]/.test(text)) while (this.#close());
    this.#open = this.#openBlocks();
  }

  /** Closes what no further text can change; says whether there may be more. */
  #close(): boolean {
    const isTooLong = this.#rest.length > PIECE;
    // The last line may become another one by a further character, and so may what stands before it.
    const piece = isTooLong ? cut(this.#rest) : this.#rest.slice(0, this.#rest.lastIndexOf('\n') + 1);
    const tokens = this.#lex(piece);
    const last = tokens.findLastIndex(({ type }) => type !== 'space');
    for (const token of tokens.slice(0, Math.max(last, 0))) {
      this.#closeToken(token);
      // The text behind it is read in another way from here on.
      if (this.#isFull()) return true;
    }
    if (last > 0) return true;
    const [token] = tokens;
    if (!isTooLong || token === undefined) return false;
    if (token.type === 'list' && token.items.length > 1) {
      const items = token.items.slice(0, -1);
      this.#closeToken({ ...token, items, raw: items.map(({ raw }) => raw).join('') });
    } else {
      const head = tokens.length === 1 ? headToGoOn(token) : '';
      this.#closeToken({ ...token, raw: this.#head + piece });
      this.#head = this.#isFull() ? '' : head;
    }
    return true;
  }

  #closeToken(token: BlockToken): void {
    const { block, size } = shown(token, this.#head, this.#size);
    this.#rest = this.#rest.slice(token.raw.length - this.#head.length);
    this.#head = '';
    this.#size = size;
    if (block === undefined) return;
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

/** So many blocks make a group. */
const GROUP = 50;
/** So many elements and pieces of text an answer may have; what comes then is shown as it was written. */
const MAX_SIZE = 20_000;
const MAX_HEAD = 1_024;
