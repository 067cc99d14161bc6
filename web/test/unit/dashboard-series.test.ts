import { describe, expect, test } from 'vitest';
import type { Bucket } from '../../src/dashboard/api.ts';
import { columns, type Line, merge, PALETTE, ranking, sum, table, topLines, within } from '../../src/dashboard/series.ts';

function bucket(seq: number, figures: Partial<Bucket> = {}): Bucket {
  return {
    seq,
    at: seq * 5_000,
    connections: {},
    open: 0,
    queue_bytes: 0,
    queue_bytes_largest: 0,
    runs_going: 0,
    runs_waiting: 0,
    ...figures,
  };
}

describe('buckets', () => {
  test('are added once, in order, and the oldest are forgotten', () => {
    const first = merge([], [bucket(0), bucket(1)]);
    expect(merge(first, [bucket(1), bucket(2)]).map(({ seq }) => seq)).toEqual([0, 1, 2]);
    expect(merge(first, [])).toBe(first);
    expect(merge(first, [bucket(2), bucket(3)], 3).map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  test('are cut to the time that is shown', () => {
    const all = Array.from({ length: 40 }, (_, seq) => bucket(seq));
    expect(within(all, 39 * 5_000, 1).map(({ seq }) => seq)[0]).toBe(27);
    expect(within(all, 39 * 5_000, 60)).toHaveLength(40);
    expect(within(all, 10_000_000, 1)).toEqual([]);
  });

  test('are added up, by name too', () => {
    const all = [bucket(0, { accepted: 2, refused: { A: 1, B: 5 } }), bucket(1), bucket(2, { accepted: 1, refused: { A: 2 } })];
    expect(sum(all, ({ accepted }) => accepted)).toBe(3);
    expect(ranking(all, ({ refused }) => refused)).toEqual([
      ['B', 5],
      ['A', 3],
    ]);
  });
});

describe('lines', () => {
  const accepted: Line = { label: 'accepted', colour: 'good', of: (b) => (b.accepted ?? 0) / 5, join: 'mean' };
  const latency: Line = { label: 'p95', colour: 'busy', of: (b) => b.latency?.p95 ?? null, join: 'max' };

  test('have a value or none for each bucket', () => {
    const all = [bucket(0, { accepted: 10 }), bucket(1, { latency: { p50: 1, p95: 2, p99: 3 } })];
    expect(columns(all, [accepted, latency])).toEqual([
      [0, 5],
      [2, 0],
      [null, 2],
    ]);
  });

  test('are joined in a table: rates by their mean, others by their highest, newest first', () => {
    const all = Array.from({ length: 24 }, (_, seq) =>
      bucket(seq, { accepted: seq * 5, ...(seq === 7 ? { latency: { p50: 1, p95: 2, p99: 3 } } : {}) }),
    );
    const rows = table(all, [accepted, latency], 12);
    expect(rows).toHaveLength(12);
    expect(rows[0]).toEqual({ at: 23 * 5_000, values: [22.5, null] });
    expect(rows[8]).toEqual({ at: 7 * 5_000, values: [6.5, 2] });
  });

  test('of many names: the most frequent alone, the rest as one', () => {
    const names = Array.from({ length: 9 }, (_, index) => `R${index}`);
    const lines = topLines(names, (b) => b.refused, 5);
    expect(lines).toHaveLength(PALETTE.length);
    expect(lines.at(-1)?.label).toBe('4 others');
    const one = bucket(0, { refused: { R0: 5, R7: 10, R8: 15 } });
    expect(lines[0]?.of(one)).toBe(1);
    expect(lines.at(-1)?.of(one)).toBe(5);
    expect(topLines(names.slice(0, 2), (b) => b.refused, 5).map(({ label }) => label)).toEqual(['R0', 'R1']);
  });
});
