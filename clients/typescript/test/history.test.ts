/** What `History` asks the server, and what it makes of the answers. */

import { describe, expect, test } from 'vitest';
import { History, RefusedError } from '../src/index.js';

interface Request {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
}

/** A history whose server gives that answer to everything, and what it was asked. */
function history(answer: () => Response): { history: History; asked: Request[] } {
  const asked: Request[] = [];
  let tokens = 0;
  const made = new History({
    gateway: 'https://gate.test',
    token: () => `token-${(tokens += 1)}`,
    fetch: async (url, { method = 'GET', headers }) => {
      asked.push({ method, url, authorization: new Headers(headers).get('authorization') ?? undefined });
      return answer();
    },
  });
  return { history: made, asked };
}

const empty = () => new Response(JSON.stringify({ threads: [] }), { status: 200 });

describe('what is asked', () => {
  test('has a fresh token each time, and the page in the query', async () => {
    const { history: it, asked } = history(empty);
    await it.threads();
    await it.threads({ cursor: 'a&b', limit: 7 });
    expect(asked).toEqual([
      { method: 'GET', url: 'https://gate.test/api/v1/threads', authorization: 'Bearer token-1' },
      { method: 'GET', url: 'https://gate.test/api/v1/threads?cursor=a%26b&limit=7', authorization: 'Bearer token-2' },
    ]);
  });

  test.each([
    ['thr_1', 'thr_1'],
    ['a/b', 'a%2Fb'],
    ['../x', '..%2Fx'],
    ['a?b#c', 'a%3Fb%23c'],
    ['%2e%2e', '%252e%252e'],
    ['a\\b', 'a%5Cb'],
    ['...', '...'],
  ])('names the thread %s and no other', async (id, path) => {
    const { history: it, asked } = history(empty);
    await it.events(id);
    await it.forget(id);
    expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual([
      `GET https://gate.test/api/v1/threads/${path}/events`,
      `DELETE https://gate.test/api/v1/threads/${path}`,
    ]);
  });

  test.each(['.', '..'])('is nothing for the thread %s, which no address can name', async (id) => {
    const { history: it, asked } = history(empty);
    await expect(it.events(id)).rejects.toThrow('No address can name this thread');
    await expect(it.forget(id)).rejects.toThrow(RefusedError);
    expect(asked).toEqual([]);
  });
});

describe('a refusal', () => {
  test('of the server has its reason and its request id', async () => {
    const problem = { reason: 'NOT_FOUND', title: 'There is nothing here', status: 404, request_id: 'req_7' };
    const { history: it } = history(() => new Response(JSON.stringify(problem), { status: 404 }));
    await expect(it.events('t')).rejects.toMatchObject({ refusal: { reason: 'NOT_FOUND', status: 404, requestId: 'req_7' } });
  });

  test.each([
    ['no JSON', new Response('<html>', { status: 200 })],
    ['no object', new Response('[]', { status: 502 })],
  ])('is UNKNOWN where the answer is %s', async (_what, answer) => {
    const { history: it } = history(() => answer);
    await expect(it.threads()).rejects.toMatchObject({ refusal: { reason: 'UNKNOWN' } });
  });

  test('is UNREACHABLE where nothing answers', async () => {
    const { history: it } = history(() => {
      throw new TypeError('failed to fetch');
    });
    await expect(it.threads()).rejects.toMatchObject({ refusal: { reason: 'UNREACHABLE' } });
  });

  test('is none where a deletion was taken', async () => {
    const { history: it } = history(() => new Response(null, { status: 204 }));
    await expect(it.forget('t')).resolves.toBeUndefined();
  });
});
