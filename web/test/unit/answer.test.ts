import { effect } from '@preact/signals';
import { Lexer } from 'marked';
import { expect, test, vi } from 'vitest';
import { Answer } from '../../src/chat/answer.ts';
import { parseMarkdown } from '../../src/lib/markdown/stream.ts';

test('an answer tells of each change, and of nothing else', () => {
  const answer = new Answer();
  const seen: string[] = [];
  effect(() => void seen.push(answer.value));
  answer.append('# one');
  answer.append('\n\ntwo');
  answer.replace('# one\n\ntwo');
  answer.replace('- other');
  answer.replace('');
  expect(seen).toEqual(['', '# one', '# one\n\ntwo', '- other', '']);
});

test('what is replaced is read anew, and the same text is not', () => {
  const answer = new Answer();
  answer.append('# one\n\n');
  answer.append('two');
  const { groups } = answer;
  expect(groups.flat()).toEqual(parseMarkdown('# one\n\ntwo'));
  const lexed = vi.spyOn(Lexer.prototype, 'blockTokens');
  answer.replace('# one\n\ntwo');
  expect(answer.groups).toEqual(groups);
  expect(lexed).not.toHaveBeenCalled();
  lexed.mockRestore();
  answer.replace('- other');
  expect(answer.groups.flat()).toEqual(parseMarkdown('- other'));
  answer.replace('');
  expect(answer.groups.flat()).toEqual([]);
});
