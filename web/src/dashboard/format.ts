/** Figures as people read them, always with their unit. */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });

/** How many: exact up to a hundred thousand, then to three digits. */
export function count(value: number): string {
  return Math.abs(value) < 100_000 ? whole.format(value) : short.format(value);
}

/** How many a second. */
export function rate(value: number): string {
  if (value === 0) return '0 /s';
  return `${value < 10 ? trim(value.toFixed(value < 0.1 ? 2 : 1)) : count(value)} /s`;
}

/** A time, given in seconds, in the unit that fits. */
export function seconds(value: number): string {
  if (value === 0) return '0 ms';
  if (value < 0.001) return `${digits(value * 1e6)} µs`;
  if (value < 1) return `${digits(value * 1e3)} ms`;
  return `${digits(value)} s`;
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  let left = value;
  while (left >= 1024 && unit < units.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(left) : digits(left)} ${units[unit] ?? ''}`;
}

/** A share as per cent. It is 100 % or 0 % only where it is so exactly. */
export function share(value: number): string {
  if (value === 1 || value === 0) return `${value * 100} %`;
  const text = trim((value * 100).toFixed(2));
  if (value < 1 && text === '100') return '> 99.99 %';
  return value > 0 && text === '0' ? '< 0.01 %' : `${text} %`;
}

/** A length of time in its two largest units. */
export function duration(totalSeconds: number): string {
  const left = Math.max(0, Math.floor(totalSeconds));
  const parts: [number, string][] = [
    [Math.floor(left / 86_400), 'd'],
    [Math.floor((left % 86_400) / 3_600), 'h'],
    [Math.floor((left % 3_600) / 60), 'min'],
    [left % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}

/** The time of day, in this browser's zone. */
export function clock(at: number | string, withSeconds = true): string {
  return new Date(at).toLocaleTimeString('en-GB', withSeconds ? {} : { hour: '2-digit', minute: '2-digit' });
}

/** Three significant digits at most. */
function digits(value: number): string {
  return value >= 100 ? whole.format(value) : trim(value.toPrecision(value >= 10 ? 3 : 2));
}

function trim(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}
