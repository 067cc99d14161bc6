import { expect, test } from 'vitest';
import { bytes, count, duration, rate, seconds, share } from '../../src/dashboard/format.ts';

test.each([
  [() => count(0), '0'],
  [() => count(99_999), '99,999'],
  [() => count(1_234_567), '1.23M'],
  [() => rate(0), '0 /s'],
  [() => rate(0.02), '0.02 /s'],
  [() => rate(2), '2 /s'],
  [() => rate(2.46), '2.5 /s'],
  [() => rate(1_500), '1,500 /s'],
  [() => seconds(0), '0 ms'],
  [() => seconds(0.000_000_4), '0.4 µs'],
  [() => seconds(0.000_15), '150 µs'],
  [() => seconds(0.0031), '3.1 ms'],
  [() => seconds(0.1204), '120 ms'],
  [() => seconds(2), '2 s'],
  [() => bytes(0), '0 B'],
  [() => bytes(1_536), '1.5 KiB'],
  [() => bytes(10 * 1024 * 1024), '10 MiB'],
  [() => share(1), '100 %'],
  [() => share(0), '0 %'],
  [() => share(0.999_999), '> 99.99 %'],
  [() => share(0.9985), '99.85 %'],
  [() => share(0.000_01), '< 0.01 %'],
  [() => duration(0), '0 s'],
  [() => duration(61), '1 min 1 s'],
  [() => duration(3_600), '1 h'],
  [() => duration(90_061), '1 d 1 h'],
])('%s', (format, text) => {
  expect(format()).toBe(text);
});
