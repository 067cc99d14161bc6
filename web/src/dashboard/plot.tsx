/** One plot with its axes' units, a legend that follows the pointer, and the same figures as a table. */

import { useComputed } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { clock } from './format.ts';
import { columns, type Line, table } from './series.ts';
import { shown } from './store.ts';

export interface PlotProps {
  readonly title: string;
  /** What the vertical axis counts. */
  readonly unit: string;
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** Said where there is nothing to draw. */
  readonly empty: string;
  /** For times, which differ by powers of ten. */
  readonly logarithmic?: boolean;
  /** For what comes in whole ones: no axis says half a run. */
  readonly whole?: boolean;
}

export function PlotCard(props: PlotProps) {
  const { title, unit, lines, format, empty } = props;
  const anything = useComputed(() => shown.value.some((bucket) => lines.some((line) => line.of(bucket) !== null)));
  return (
    <section class="panel plot" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <span class="unit">{unit}</span>
      </header>
      {shown.value.length < 2 || lines.length === 0 || !anything.value ? <p class="empty">{empty}</p> : <Canvas {...props} />}
      {lines.length > 0 && shown.value.length > 0 && <FiguresTable title={title} lines={lines} format={format} />}
    </section>
  );
}

function Canvas(props: PlotProps) {
  const { title, unit, lines, format, logarithmic = false } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const names = lines.map((line) => line.label).join('\n');
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(element, props), columns(shown.value, lines), element);
    };
    draw();
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', draw);
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      dark.removeEventListener('change', draw);
      observer.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
    // Lines are made anew with each render; their names tell whether others are drawn.
  }, [names, logarithmic]);
  const buckets = shown.value;
  useEffect(() => {
    plot.current?.setData(columns(buckets, lines));
  }, [buckets, names]);
  const latest = buckets.at(-1);
  const spoken = lines
    .map((line) => {
      const value = latest === undefined ? null : line.of(latest);
      return `${line.label} ${value === null ? 'none' : format(value)}`;
    })
    .join(', ');
  return <div ref={place} class="canvas" role="img" aria-label={`${title} over time in ${unit}. Latest: ${spoken}.`} />;
}

function FiguresTable({ title, lines, format }: { title: string; lines: readonly Line[]; format: (value: number) => string }) {
  return (
    <details class="figures">
      <summary>
        Table<span class="visually-hidden">: {title}</span>
      </summary>
      <div class="scroll" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
        <table>
          <thead>
            <tr>
              <th scope="col">Until</th>
              {lines.map((line) => (
                <th key={line.label} scope="col">
                  {line.label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {table(shown.value, lines).map((row) => (
              <tr key={row.at}>
                <th scope="row">{clock(row.at)}</th>
                {row.values.map((value, index) => (
                  <td key={lines[index]?.label}>{value === null ? '–' : format(value)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

const HEIGHT = 180;

/** Steps of an axis that counts. */
const WHOLE = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

function options(element: HTMLElement, { lines, format, logarithmic = false, whole = false }: PlotProps): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const axis: uPlot.Axis = {
    stroke: colour('muted'),
    grid: { stroke: colour('grid'), width: 1 },
    ticks: { stroke: colour('grid'), width: 1, size: 4 },
    font: `12px ${style.fontFamily}`,
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    cursor: { sync: { key: 'portcullis' }, drag: { x: false, y: false }, points: { size: 7 } },
    legend: { live: true },
    scales: {
      x: { time: true },
      y: logarithmic
        ? { distr: 3, log: 10 }
        : { range: (_self, _min, max) => [0, Number.isFinite(max) && max > 0 ? max * 1.1 : 1] },
    },
    axes: [
      {
        ...axis,
        size: 30,
        space: 76,
        values: (_self, splits, _axis, _space, step) => splits.map((at) => clock(at * 1000, step < 60)),
      },
      {
        ...axis,
        size: 66,
        space: 34,
        ...(whole ? { incrs: WHOLE } : {}),
        values: (_self, splits) => splits.map((value) => (value === null || value === undefined ? '' : format(value))),
      },
    ],
    series: [
      // Without a pointer the legend tells the latest.
      { label: 'at', value: (self, at) => clock((at ?? self.data[0].at(-1) ?? 0) * 1000) },
      ...lines.map((line): uPlot.Series => {
        const stroke = colour(line.colour);
        return {
          label: line.label,
          stroke,
          width: 1.75,
          spanGaps: false,
          points: { show: false },
          ...(lines.length === 1 && !logarithmic ? { fill: `${stroke}22` } : {}),
          value: (self, value, at) => {
            const column = self.data[at ?? 0] as (number | null)[] | undefined;
            const seen = value ?? (self.cursor.idx == null ? column?.at(-1) : null);
            return seen == null ? '–' : format(seen);
          },
        };
      }),
    ],
  };
}
