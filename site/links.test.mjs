import assert from 'node:assert/strict';
import { test } from 'node:test';
import { relative, target } from './links.mjs';
import { address } from './pages.mjs';
import { render } from './render.mjs';

test('a link means the same file as in the repository', () => {
  for (const [source, href, path, fragment] of [
    ['docs/a.md', 'b.md', 'docs/b.md', ''],
    ['docs/howto/a.md', '../b.md#x', 'docs/b.md', 'x'],
    ['docs/a.md', '#here', 'docs/a.md', 'here'],
    ['docs/a.md', '../README.md', 'README.md', ''],
    ['ARCHITECTURE.md', 'docs/adr/1.md', 'docs/adr/1.md', ''],
  ]) {
    assert.deepEqual(target(source, href), { path, fragment }, `${source} -> ${href}`);
  }
  for (const href of ['https://example.com/a.md', 'mailto:a@example.com', '//example.com']) {
    assert.equal(target('docs/a.md', href), undefined, href);
  }
});

test('pages name each other by paths that need no server', () => {
  assert.equal(relative('howto/a.html', 'b.html'), '../b.html');
  assert.equal(relative('index.html', 'howto/a.html'), 'howto/a.html');
  assert.equal(relative('a.html', 'a.html'), 'a.html');
});

test('a source has one address', () => {
  assert.equal(address('docs/README.md'), 'index.html');
  assert.equal(address('docs/reasons/README.md'), 'reasons/index.html');
  assert.equal(address('docs/howto/fastapi.md'), 'howto/fastapi.html');
  assert.equal(address('SECURITY.md'), 'project/security.html');
});

test('links are rewritten, and one to what the site lacks leaves its text', () => {
  const link = (href) => (href === 'gone' ? undefined : `/new/${href}`);
  const { html, headings, sections, title } = render('# A `b`\n\n[in](x) [out](gone)\n\n## C & D\n\ntext <i>\n', link);
  assert.match(html, /<a href="\/new\/x">in<\/a> out</);
  assert.equal(title, 'A b');
  assert.deepEqual(headings.map(({ id }) => id), ['a-b', 'c--d']);
  assert.equal(sections.at(-1).id, 'c--d');
});

test('code has classes and no styles, and markup in it stays text', () => {
  const { html } = render('```js\nconst a = "<b>";\n```\n', (href) => href);
  assert.match(html, /hljs-keyword/);
  assert.match(html, /&lt;b&gt;/);
  assert.doesNotMatch(html, /style=/);
});
