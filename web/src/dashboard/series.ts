/** From buckets to what is drawn: pure, so that it can be tested without a page. */

import type { Bucket, Counts, Figures } from './api.ts';

/** Adds what is new, in order and once, and forgets what is older than the server keeps. */
export function merge(known: readonly Bucket[], fresh: readonly Bucket[], most = 721): readonly Bucket[] {
  const last = known.at(-1)?.seq ?? -1;
  const added = fresh.filter((bucket) => bucket.seq > last);
  return added.length === 0 ? known : [...known, ...added].slice(-most);
}

/** The buckets of the last `minutes` before `now`. */
export function within(buckets: readonly Bucket[], now: number, minutes: number): readonly Bucket[] {
  const from = now - minutes * 60_000;
  const first = buckets.findIndex((bucket) => bucket.at >= from);
  return first < 0 ? [] : buckets.slice(first);
}

export function total(counts: Counts | undefined): number {
  return Object.values(counts ?? {}).reduce((sum, value) => sum + value, 0);
}

/** One figure of many buckets, added up. */
export function sum(buckets: readonly Figures[], of: (figures: Figures) => number | undefined): number {
  return buckets.reduce((result, bucket) => result + (of(bucket) ?? 0), 0);
}

/** Counts by name, added up, the largest first. */
export function ranking(buckets: readonly Figures[], of: (figures: Figures) => Counts | undefined): [string, number][] {
  const totals = new Map<string, number>();
  for (const bucket of buckets) {
    for (const [name, value] of Object.entries(of(bucket) ?? {})) totals.set(name, (totals.get(name) ?? 0) + value);
  }
  return [...totals].sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
}

/** A line of a plot: one value for each bucket, none where there is nothing to say. */
export interface Line {
  readonly label: string;
  readonly colour: Colour;
  readonly of: (bucket: Bucket) => number | null;
  /** How a table joins several buckets: rates by their mean, gauges by their highest. */
  readonly join: 'mean' | 'max';
}

/** Custom properties of the style sheet, which know both themes. */
export type Colour = 'accent' | 'good' | 'bad' | 'busy' | 'violet' | 'teal' | 'rose' | 'muted';

/** The columns that a plot is drawn from: times in seconds, then each line's values. */
export function columns(buckets: readonly Bucket[], lines: readonly Line[]): [number[], ...(number | null)[][]] {
  return [buckets.map((bucket) => bucket.at / 1000), ...lines.map((line) => buckets.map(line.of))];
}

export interface TableRow {
  readonly at: number;
  readonly values: readonly (number | null)[];
}

/** The same as at most `most` rows, newest first: for people who read rather than look. */
export function table(buckets: readonly Bucket[], lines: readonly Line[], most = 12): readonly TableRow[] {
  const size = Math.max(1, Math.ceil(buckets.length / most));
  const rows: TableRow[] = [];
  for (let end = buckets.length; end > 0; end -= size) {
    const group = buckets.slice(Math.max(0, end - size), end);
    rows.push({ at: group.at(-1)?.at ?? 0, values: lines.map((line) => join(group.map(line.of), line.join)) });
  }
  return rows;
}

function join(values: readonly (number | null)[], how: 'mean' | 'max'): number | null {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return null;
  return how === 'max' ? Math.max(...known) : known.reduce((a, b) => a + b, 0) / known.length;
}

/** Lines for the names that occur most, and one for all others. */
export function topLines(
  names: readonly string[],
  of: (bucket: Bucket) => Counts | undefined,
  perSecond: number,
  most = PALETTE.length,
): readonly Line[] {
  const shown = names.length > most ? names.slice(0, most - 1) : names;
  const lines: Line[] = shown.map((label, index) => ({
    label,
    colour: PALETTE[index % PALETTE.length] ?? 'muted',
    of: (bucket) => (of(bucket)?.[label] ?? 0) / perSecond,
    join: 'mean',
  }));
  if (shown.length === names.length) return lines;
  const others = new Set(names.slice(shown.length));
  const rest = (bucket: Bucket) =>
    Object.entries(of(bucket) ?? {}).reduce((result, [name, value]) => result + (others.has(name) ? value : 0), 0);
  return [...lines, { label: `${others.size} others`, colour: 'muted', of: (bucket) => rest(bucket) / perSecond, join: 'mean' }];
}

export const PALETTE: readonly Colour[] = ['bad', 'busy', 'accent', 'violet', 'teal', 'rose'];
