/**
 * From a piece of Markdown to its tree. marked's lexer finds the marks; here is what it may spend on them, and what becomes
 * of what it finds. Any text gives a tree: what is too deep, too wide or not understood stands there as it was written.
 */

import { Lexer, type MarkedToken, type Token, Tokenizer, type Tokens } from 'marked';
import { safeAddress } from '../address.ts';
import type { Block, Inline } from './tree.ts';

/** The lexer's cost may grow with the square of what it is given, so it is given no more than this many characters at once. */
export const PIECE = 4_096;

/** A block as the lexer found it; its `raw` is its text in the source, to the letter. */
export type BlockToken = MarkedToken;

/** The blocks of a text that is not much longer than {@link PIECE}. Marks inside them are looked for by {@link toBlock}. */
export function lexBlocks(text: string): BlockToken[] {
  return guarded(() => boundedLexer().blockTokens(text, []) as BlockToken[], asWritten(text));
}

/** A block that is shown as it was written, as markup is. */
export function asWritten(text: string): BlockToken {
  return { type: 'html', block: true, pre: false, raw: text, text };
}

/** Parses the marks inside a line. */
export function parseInline(text: string): Inline[] {
  const out: Inline[] = [];
  for (let rest = text; rest !== ''; ) {
    const piece = cut(rest);
    rest = rest.slice(piece.length);
    inlines(guarded(() => boundedLexer().inlineTokens(piece), asWritten(piece)), out, false);
  }
  return out;
}

/** The first {@link PIECE} characters at most, to the end of a line or else of a word where there is one. */
export function cut(text: string): string {
  if (text.length <= PIECE) return text;
  const end = text.lastIndexOf('\n', PIECE - 1) + 1 || text.lastIndexOf(' ', PIECE - 1) + 1;
  if (end > 0) return text.slice(0, end);
  const isPair = text.codePointAt(PIECE - 1) !== text.charCodeAt(PIECE - 1);
  return text.slice(0, isPair ? PIECE - 1 : PIECE);
}

/** The tree of what {@link lexBlocks} found; nothing for blank lines. */
export function toBlock(token: BlockToken): Block | undefined {
  switch (token.type) {
    case 'space':
      return undefined;
    case 'heading':
      return { kind: 'heading', level: token.depth, children: parseInline(token.text) };
    case 'code':
      return { kind: 'code', language: language(token.lang), text: token.text.replace(/\n$/, '') };
    case 'blockquote':
      return { kind: 'quote', children: blocks(token.tokens) };
    case 'list':
      return { kind: 'list', ordered: token.ordered, start: token.start === '' ? 1 : token.start, items: token.items.map(item) };
    case 'table': {
      const cells = (row: readonly Tokens.TableCell[]) => row.map(({ text }) => parseInline(text));
      return { kind: 'table', head: cells(token.header), rows: token.rows.map(cells) };
    }
    case 'hr':
      return { kind: 'rule' };
    case 'paragraph':
    case 'text':
      return { kind: 'paragraph', children: parseInline(token.text) };
    default:
      return { kind: 'paragraph', children: [{ kind: 'text', text: token.raw.trimEnd() }] };
  }
}

function blocks(tokens: readonly Token[]): Block[] {
  return tokens.flatMap((token) => toBlock(token as MarkedToken) ?? []);
}

/** An item; one of a list of tasks begins with a sign for whether it is done. */
function item({ task, checked, tokens }: Tokens.ListItem): Block[] {
  const found = blocks(tokens.filter(({ type }) => type !== 'checkbox'));
  const [first, ...rest] = found;
  if (!task || first?.kind !== 'paragraph') return found;
  const sign = checked === true ? '☑ ' : '☐ ';
  const [start, ...others] = first.children;
  // In a list with blank lines the box is part of the text, too.
  const children: Inline[] =
    start?.kind === 'text'
      ? [{ kind: 'text', text: sign + start.text.replace(/^\[[ xX]\] /, '') }, ...others]
      : [{ kind: 'text', text: sign }, ...first.children];
  return [{ kind: 'paragraph', children }, ...rest];
}

/** The first word of what stands behind a fence. */
function language(info: string | undefined): string {
  return (info ?? '').split(/\s/, 1)[0]?.slice(0, 32) ?? '';
}

function inlines(tokens: readonly Token[], out: Inline[], inLink: boolean): Inline[] {
  for (const token of tokens as readonly MarkedToken[]) {
    const node = inline(token, inLink);
    const before = out.at(-1);
    if (node.kind === 'text' && before?.kind === 'text') out[out.length - 1] = { kind: 'text', text: before.text + node.text };
    else out.push(node);
  }
  return out;
}

function inline(token: MarkedToken, inLink: boolean): Inline {
  switch (token.type) {
    case 'text':
      return { kind: 'text', text: decode(token.text) };
    case 'escape':
      return { kind: 'text', text: token.text };
    case 'codespan':
      return { kind: 'code', text: token.text };
    case 'strong':
    case 'em':
      return { kind: token.type, children: inlines(token.tokens, [], inLink) };
    case 'del':
      return { kind: 'strike', children: inlines(token.tokens, [], inLink) };
    case 'br':
      return { kind: 'break' };
    case 'html':
      return token.block === true ? { kind: 'text', text: token.raw } : { kind: 'break' };
    case 'link':
    case 'image':
      return link(token, inLink);
    default:
      return { kind: 'text', text: token.raw };
  }
}

/** A link where it may be followed. A picture becomes a link as well: nothing is fetched from elsewhere by itself. */
function link(token: Tokens.Link | Tokens.Image, inLink: boolean): Inline {
  const isLiteral = token.type === 'link' && token.autolink === true;
  const href = safeAddress(isLiteral ? token.href : decode(token.href));
  if (href === undefined) return { kind: 'text', text: token.raw };
  if (token.type === 'link') {
    const children: Inline[] = isLiteral ? [{ kind: 'text', text: token.text }] : inlines(token.tokens, [], true);
    return { kind: 'link', href, children };
  }
  const shown: Inline = { kind: 'text', text: token.text === '' ? href : decode(token.text) };
  return inLink ? shown : { kind: 'link', href, children: [shown] };
}

/** Character references: numbers, and the names that are met in practice. Others stay as they were written. */
function decode(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-zA-Z]{2,8}));/g, (written, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return NAMED.get(name) ?? written;
    const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number.parseInt(decimal, 10);
    const isCharacter = code > 0 && code <= 0x10_ff_ff && !(code >= 0xd8_00 && code <= 0xdf_ff);
    return isCharacter ? String.fromCodePoint(code) : '\u{fffd}';
  });
}

const NAMED: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
  ['nbsp', '\u{a0}'],
  ['copy', '©'],
  ['deg', '°'],
  ['times', '×'],
  ['middot', '·'],
  ['ndash', '–'],
  ['mdash', '—'],
  ['hellip', '…'],
  ['bull', '•'],
  ['larr', '←'],
  ['rarr', '→'],
  ['le', '≤'],
  ['ge', '≥'],
  ['ne', '≠'],
]);

/** Should the lexer give up on a text (it throws where it would not get on), the text is still there to be read. */
function guarded<T extends Token>(lex: () => T[], otherwise: T): T[] {
  try {
    return lex();
  } catch {
    return [otherwise];
  }
}

function boundedLexer(): Lexer {
  return new Lexer({ gfm: true, tokenizer: new BoundedTokenizer() });
}

/** marked's rules within bounds, and without what depends on text far away or would be markup. */
class BoundedTokenizer extends Tokenizer {
  #depth = 0;
  #vain = 0;
  #links = 0;

  override blockquote(src: string): Tokens.Blockquote | undefined {
    return this.#nested(() => super.blockquote(src));
  }

  override list(src: string): Tokens.List | undefined {
    return this.#nested(() => super.list(src));
  }

  override emStrong(src: string, masked: string, before?: string): Tokens.Em | Tokens.Strong | undefined {
    const opens = /^\*+[^\s*]|^_+[^\s_]/.test(src) && !(src.startsWith('_') && /[\p{L}\p{N}]$/u.test(before ?? ''));
    return opens ? this.#pair(() => super.emStrong(src, masked, before)) : undefined;
  }

  override del(src: string, masked: string, before?: string): Tokens.Del | undefined {
    return src.startsWith('~') ? this.#pair(() => super.del(src, masked, before)) : undefined;
  }

  override link(src: string): Tokens.Link | Tokens.Image | undefined {
    if (!/^!?\[/.test(src) || this.#links >= MAX_LINKS) return undefined;
    this.#links += 1;
    return this.#nested(() => super.link(src));
  }

  /** Every row is filled up to as many cells as the head has. */
  override table(src: string): Tokens.Table | undefined {
    const head = src.slice(0, src.indexOf('\n'));
    return head.split('|').length > MAX_COLUMNS + 2 ? undefined : super.table(src);
  }

  /** A definition works on text before it, which was drawn long ago. It is shown as it was written. */
  override def(): undefined {}

  override reflink(): undefined {}

  override html(): undefined {}

  /** The one tag that is understood: in a cell there is no other way to end a line. */
  override tag(src: string): Tokens.Tag | undefined {
    return /^<br *\/?>/i.test(src) ? super.tag(src) : undefined;
  }

  /** What the lexer gives up on is no such thing: it throws at an empty item in a quotation in an item, for one. */
  #nested<T>(lex: () => T | undefined): T | undefined {
    if (this.#depth >= MAX_DEPTH) return undefined;
    this.#depth += 1;
    try {
      return lex();
    } catch {
      return undefined;
    } finally {
      this.#depth -= 1;
    }
  }

  /** A mark that has no counterpart looks through all that follows. */
  #pair<T>(lex: () => T | undefined): T | undefined {
    if (this.#vain >= MAX_VAIN) return undefined;
    const found = this.#nested(lex);
    if (found === undefined) this.#vain += 1;
    return found;
  }
}

/** So deep may lists and quotations stand in one another, and marks in a line. */
const MAX_DEPTH = 8;
const MAX_COLUMNS = 64;
/** In one paragraph, heading, item or cell: so many marks without a counterpart, before all others are text as well. */
const MAX_VAIN = 20;
/** So many brackets there may be the beginning of a link. */
const MAX_LINKS = 256;
