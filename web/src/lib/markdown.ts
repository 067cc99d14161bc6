/**
 * A small Markdown: what agents write, and nothing that could carry markup. The result is a tree of plain data; whoever
 * draws it makes elements and text nodes, never HTML from text.
 */

import { safeAddress } from './address.ts';

export type Inline =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'code'; readonly text: string }
  | { readonly kind: 'strong' | 'em'; readonly children: readonly Inline[] }
  | { readonly kind: 'link'; readonly href: string; readonly children: readonly Inline[] };

export type Block =
  | { readonly kind: 'paragraph'; readonly children: readonly Inline[] }
  | { readonly kind: 'heading'; readonly level: number; readonly children: readonly Inline[] }
  | { readonly kind: 'code'; readonly language: string; readonly text: string }
  | { readonly kind: 'quote'; readonly children: readonly Block[] }
  | { readonly kind: 'list'; readonly ordered: boolean; readonly start: number; readonly items: readonly (readonly Block[])[] }
  | { readonly kind: 'table'; readonly head: readonly (readonly Inline[])[]; readonly rows: readonly (readonly (readonly Inline[])[])[] }
  | { readonly kind: 'rule' };

/** Parses; any text gives a tree, in time linear in its length for each level of nesting. */
export function parseMarkdown(source: string): Block[] {
  return blocks(source.replaceAll('\r\n', '\n').split('\n'), 0);
}

function blocks(lines: readonly string[], depth: number): Block[] {
  const out: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? '';
    if (line.trim() === '') {
      at += 1;
      continue;
    }
    const [block, next] = readBlock(lines, at, line, depth);
    out.push(block);
    at = next;
  }
  return out;
}

function readBlock(lines: readonly string[], at: number, line: string, depth: number): [Block, number] {
  const fence = FENCE.exec(line);
  if (fence !== null) return readFence(lines, at, fence[1] ?? '```', fence[2] ?? '');
  const heading = HEADING.exec(line);
  if (heading !== null) {
    return [{ kind: 'heading', level: heading[1]?.length ?? 1, children: parseInline(heading[2] ?? '') }, at + 1];
  }
  if (RULE.test(line)) return [{ kind: 'rule' }, at + 1];
  if (depth < MAX_DEPTH && QUOTE.test(line)) {
    const end = endOf(lines, at, (text) => QUOTE.test(text));
    const inner = lines.slice(at, end).map((text) => text.replace(QUOTE, ''));
    return [{ kind: 'quote', children: blocks(inner, depth + 1) }, end];
  }
  if (depth < MAX_DEPTH && ITEM.test(line)) return readList(lines, at, depth);
  if (isTable(lines, at)) return readTable(lines, at);
  const end = endOf(lines, at, (text, index) => index === at || !startsBlock(text));
  return [{ kind: 'paragraph', children: parseInline(lines.slice(at, end).map((text) => text.trim()).join('\n')) }, end];
}

/** The first line from `at` on that does not belong; blank lines never do. */
function endOf(lines: readonly string[], at: number, belongs: (text: string, index: number) => boolean): number {
  let end = at;
  while (end < lines.length && (lines[end] ?? '').trim() !== '' && belongs(lines[end] ?? '', end)) end += 1;
  return end;
}

function startsBlock(text: string): boolean {
  return FENCE.test(text) || HEADING.test(text) || QUOTE.test(text) || ITEM.test(text);
}

/** A fence that is still open reaches to the end: the answer may be streaming. */
function readFence(lines: readonly string[], at: number, mark: string, language: string): [Block, number] {
  let end = at + 1;
  while (end < lines.length && !(lines[end] ?? '').trim().startsWith(mark)) end += 1;
  return [{ kind: 'code', language: language.trim(), text: lines.slice(at + 1, end).join('\n') }, end + 1];
}

function readList(lines: readonly string[], at: number, depth: number): [Block, number] {
  const first = ITEM.exec(lines[at] ?? '');
  const indent = first?.[1]?.length ?? 0;
  const ordered = /\d/.test(first?.[2] ?? '');
  const items: string[][] = [];
  /** Where the text of the present item begins: what is set in to there belongs to it. */
  let column = 0;
  let end = at;
  for (; end < lines.length; end += 1) {
    const line = lines[end] ?? '';
    const item = ITEM.exec(line);
    const own = item !== null && (item[1]?.length ?? 0) <= indent;
    if (own && /\d/.test(item[2] ?? '') !== ordered) break;
    if (own) {
      items.push([item[3] ?? '']);
      column = line.length - (item[3]?.length ?? 0);
    } else if (line.trim() === '') {
      const next = lines[end + 1] ?? '';
      if (!/^\s{2,}\S/.test(next) && !ITEM.test(next)) break;
      items.at(-1)?.push('');
    } else if (/^\s{2,}/.test(line)) items.at(-1)?.push(outdent(line, column));
    else if (startsBlock(line)) break;
    else items.at(-1)?.push(line);
  }
  const start = ordered ? Number.parseInt(first?.[2] ?? '1', 10) : 1;
  return [{ kind: 'list', ordered, start, items: items.map((item) => blocks(item, depth + 1)) }, end];
}

function outdent(line: string, column: number): string {
  const spaces = /^\s*/.exec(line)?.[0].length ?? 0;
  return line.slice(Math.min(spaces, column));
}

function isTable(lines: readonly string[], at: number): boolean {
  return (lines[at] ?? '').includes('|') && DIVIDER.test(lines[at + 1] ?? '') && (lines[at + 1] ?? '').includes('-');
}

function readTable(lines: readonly string[], at: number): [Block, number] {
  const end = endOf(lines, at, (text) => text.includes('|'));
  const rows = lines.slice(at + 2, end).map(cells);
  return [{ kind: 'table', head: cells(lines[at] ?? ''), rows }, end];
}

function cells(line: string): Inline[][] {
  const inner = line.trim().replace(/^\|/, '').replace(/\|$/, '');
  return inner.split('|').map((cell) => parseInline(cell.trim()));
}

/** Parses the marks inside a line. */
export function parseInline(text: string, depth = 0): Inline[] {
  const out: Inline[] = [];
  let plain = 0;
  for (const match of text.matchAll(INLINE)) {
    const node = depth < MAX_DEPTH ? inlineNode(match, depth) : undefined;
    if (node === undefined) continue;
    if (match.index > plain) out.push({ kind: 'text', text: text.slice(plain, match.index) });
    out.push(node);
    plain = match.index + match[0].length;
  }
  if (plain < text.length) out.push({ kind: 'text', text: text.slice(plain) });
  return out;
}

function inlineNode(match: RegExpMatchArray, depth: number): Inline | undefined {
  const { code, strong, em, label, href, bare } = match.groups ?? {};
  if (code !== undefined) return { kind: 'code', text: code.trim() };
  if (strong !== undefined) return { kind: 'strong', children: parseInline(strong, depth + 1) };
  if (em !== undefined) return { kind: 'em', children: parseInline(em, depth + 1) };
  const spelled = bare === undefined ? undefined : safeAddress(bare);
  if (bare !== undefined && spelled !== undefined) return { kind: 'link', href: spelled, children: [{ kind: 'text', text: bare }] };
  const address = href === undefined ? undefined : safeAddress(href);
  if (label !== undefined && address !== undefined) {
    return { kind: 'link', href: address, children: parseInline(label, depth + 1) };
  }
  return undefined;
}

const MAX_DEPTH = 6;
const FENCE = /^\s{0,3}(```+|~~~+)\s*([\w.+-]*)\s*$/;
const HEADING = /^\s{0,3}(#{1,4})\s+(.+?)\s*#*\s*$/;
const RULE = /^\s{0,3}(?:-{3,}|\*{3,}|_{3,})\s*$/;
const QUOTE = /^\s{0,3}>\s?/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const DIVIDER = /^\s*\|?[\s:|-]+\|?\s*$/;
/** No branch can start twice on its way to its end, so that a hostile text costs no more than its length. */
const INLINE = new RegExp(
  [
    '`(?<code>[^`\\n]+)`',
    '\\*\\*(?<strong>[^*\\n]+)\\*\\*',
    '(?<![\\w*])\\*(?<em>[^\\s*][^*\\n]*)\\*(?!\\w)',
    '\\[(?<label>[^[\\]\\n]+)\\]\\((?<href>[^\\s()]+)\\)',
    '(?<bare>https?://[^\\s<>()"\'`]*[^\\s<>()"\'`.,;:!?])',
  ].join('|'),
  'g',
);
