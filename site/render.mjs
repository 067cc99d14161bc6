// One Markdown file into the body of its page, its headings, and what the search is told of it.

import GithubSlugger from 'github-slugger';
import hljs from 'highlight.js/lib/common';
import MarkdownIt from 'markdown-it';

/** The text of inline tokens, as it is read. */
const textOf = (tokens) =>
  (tokens ?? []).map((token) => (token.children ? textOf(token.children) : token.content)).join('');

// Names of code blocks' languages that highlight.js knows under another one, or for which a near one does.
const ALIASES = { nginx: 'ini', haproxy: 'ini', caddy: 'ini', toml: 'ini', dockerfile: 'bash', tsx: 'typescript', vue: 'xml', svelte: 'xml' };

/** Code with classes, which a strict content security policy allows and inline styles are not. */
function highlight(code, language) {
  const known = ALIASES[language] ?? language;
  return hljs.getLanguage(known) ? hljs.highlight(code, { language: known }).value : '';
}

/**
 * @param {string} text the Markdown
 * @param {(href: string) => string | undefined} link the address of a link on the site; nothing where it leads to what
 *   the site does not have, of which the text stays
 * @returns {{ title: string, html: string, headings: { level: number, id: string, text: string }[],
 *   sections: { id: string, heading: string, text: string }[] }}
 */
export function render(text, link) {
  const markdown = new MarkdownIt({ html: true, highlight });
  const slugger = new GithubSlugger();
  const tokens = markdown.parse(text.replaceAll(/<!--[^]*?-->\n?/g, ''), {});
  const headings = [];
  const sections = [{ id: '', heading: '', text: '' }];

  tokens.forEach((token, index) => {
    if (token.type === 'heading_open') {
      const words = textOf([tokens[index + 1]]);
      const id = slugger.slug(words);
      token.attrSet('id', id);
      const level = Number(token.tag.slice(1));
      headings.push({ level, id, text: words });
      sections.push({ id: level === 1 ? '' : id, heading: words, text: '' });
    } else if ((token.type === 'inline' && tokens[index - 1]?.type !== 'heading_open') || token.type === 'fence') {
      sections.at(-1).text += ` ${textOf([token])}`;
    }
    if (token.type === 'inline') rewrite(token.children, link);
  });

  // Wide tables and code scroll by themselves, and the keyboard reaches them to do so.
  markdown.renderer.rules.table_open = () => '<div class="wide" tabindex="0"><table>\n';
  markdown.renderer.rules.table_close = () => '</table></div>\n';
  const fence = markdown.renderer.rules.fence;
  markdown.renderer.rules.fence = (...rest) =>
    `<div class="code">${fence(...rest).replace('<pre>', '<pre tabindex="0">')}</div>`;

  return {
    title: headings.find(({ level }) => level === 1)?.text ?? 'Portcullis',
    html: markdown.renderer.render(tokens, markdown.options, {}),
    headings,
    sections,
  };
}

/** Links and pictures get their address on the site; a link to what it does not have becomes its text. */
function rewrite(tokens, link) {
  const dropped = [];
  for (const token of tokens) {
    if (token.type === 'image') token.attrSet('src', link(token.attrGet('src')) ?? '');
    if (token.type === 'link_open') {
      const href = link(token.attrGet('href'));
      dropped.push(href === undefined);
      if (href === undefined) token.hidden = true;
      else token.attrSet('href', href);
    }
    if (token.type === 'link_close' && dropped.pop()) token.hidden = true;
  }
  // The renderer of inline tokens does not know `hidden`.
  for (const token of tokens.filter(({ hidden }) => hidden)) {
    Object.assign(token, { type: 'text', content: '' });
  }
}
