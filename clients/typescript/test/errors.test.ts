import { describe, expect, test } from 'vitest';
import { backoffDelay, DEFAULT_BACKOFF } from '../src/backoff.js';
import { base64url, offer } from '../src/codec.js';
import { closeRefusal, noticeRefusal, problemRefusal } from '../src/errors.js';
import { REASONS } from '../src/index.js';
import type { CloseProfile, Reason } from '../src/reasons.gen.js';

describe('problem documents', () => {
  test('the server’s own words win over the catalogue’s', () => {
    const body = { status: 401, title: 'T', detail: 'D', reason: 'TOKEN_EXPIRED', retry: 'backoff', remedy: 'R', request_id: 'q', extra: 1 };
    expect(problemRefusal(body, 'http', 400)).toEqual({
      reason: 'TOKEN_EXPIRED', title: 'T', detail: 'D', remedy: 'R', retry: 'backoff', status: 401, requestId: 'q', source: 'http',
    });
  });

  test.each([undefined, null, 'text', [], {}, { reason: 7 }, { reason: 'NOT_OF_THIS_VERSION' }, { reason: 'toString' }])(
    '%j becomes UNKNOWN with what is known',
    (body) => {
      const headers = new Headers({ 'x-request-id': 'q', 'retry-after': '5' });
      expect(problemRefusal(body, 'http', 502, headers)).toMatchObject({
        reason: 'UNKNOWN', status: 502, requestId: 'q', retryAfterMs: 5000, retry: 'backoff', source: 'http',
      });
    },
  );
});

describe('close frames', () => {
  const reasons = Object.entries(REASONS) as [Reason, { closeCode: Record<CloseProfile, number | null>; retry: string }][];
  const rows = reasons.flatMap(([id, { closeCode, retry }]) =>
    Object.values(closeCode).flatMap((code) => (code === null ? [] : [[id, code, retry] as const])),
  );

  test.each(rows)('%s under code %i says %s', (id, code, retry) => {
    expect(closeRefusal(code, id)).toMatchObject({ reason: id, retry, closeCode: code, source: 'close' });
    expect(closeRefusal(code, `${id}: more`)).toMatchObject({ reason: id, detail: 'more' });
  });

  test.each([
    [1006, '', 'CONNECTION_LOST', 'backoff'],
    [1005, '', 'CONNECTION_LOST', 'backoff'],
    [1001, '', 'UNKNOWN', 'backoff'],
    [1011, 'boom', 'UNKNOWN', 'backoff'],
    [1008, 'policy violation', 'UNKNOWN', 'after_change'],
    [1009, '', 'UNKNOWN', 'never'],
    [4450, 'who knows', 'UNKNOWN', 'after_change'],
    [4550, 'who knows', 'UNKNOWN', 'backoff'],
    [1008, 'HASOWN: no', 'UNKNOWN', 'after_change'],
  ])('%i "%s" is %s, retry %s', (code, text, reason, retry) => {
    expect(closeRefusal(code, text)).toMatchObject({ reason, retry, closeCode: code });
  });
});

test('an error event keeps its detail and ids', () => {
  const notice = { reason: 'RATE_LIMITED', title: 'T', message: 'slow down', retry: 'backoff', request_id: 'q' } as const;
  expect(noticeRefusal(notice)).toMatchObject({ reason: 'RATE_LIMITED', title: 'T', detail: 'slow down', requestId: 'q', source: 'event' });
});

test.each([
  ['', ''], ['f', 'Zg'], ['fo', 'Zm8'], ['foo', 'Zm9v'], ['\u00fb\u00ff', 'w7vDvw'], ['\u{1F512}', '8J-Ukg'], ['?>?', 'Pz4_'],
])('base64url(%j) is %j', (text, coded) => {
  expect(base64url(text)).toBe(coded);
  expect(Buffer.from(coded, 'base64url').toString()).toBe(text);
});

test('an offer is made of RFC 9110 token characters alone, whatever the token', () => {
  for (const element of offer('a b,c"\u0000\u{1F512}=', ['portcullis.v1', 'jwt-auth'])) expect(element).toMatch(/^[\w.!#$%&'*+^`|~-]+$/);
});

test('pauses lie between the floor and the ceiling, and spread over it', () => {
  const ceilings = Array.from({ length: 12 }, (_, n) => backoffDelay(n + 1, () => 1, DEFAULT_BACKOFF));
  expect(ceilings).toEqual([500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 30000, 30000, 30000]);
  expect(backoffDelay(5, () => 0, DEFAULT_BACKOFF)).toBe(0);
  expect(backoffDelay(5, () => 0, DEFAULT_BACKOFF, 700)).toBe(700);
  expect(backoffDelay(10_000, () => 1, DEFAULT_BACKOFF)).toBe(30_000);
});
