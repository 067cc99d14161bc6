// The frame around every page: nothing inline but what the page says, so that the content security policy can be strict.

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
export const escape = (text) => text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character]);

/**
 * @param {{ title: string, html: string, headings: { level: number, id: string, text: string }[] }} page
 * @param {{ title: string, pages: { title: string, href: string, current: boolean }[] }[]} navigation
 * @param {{ root: string, assets: Record<string, string>, next?: { title: string, href: string } }} place `root` leads
 *   from the page to /docs/, and `assets` names the files by their hashed names
 */
export function frame(page, navigation, { root, assets, next }) {
  const menu = navigation
    .map(
      ({ title, pages }) => `<h2>${escape(title)}</h2>
<ul>${pages
        .map(
          ({ title, href, current }) =>
            `<li><a href="${href}"${current ? ' aria-current="page"' : ''}>${escape(title)}</a></li>`,
        )
        .join('')}</ul>`,
    )
    .join('\n');
  const parts = page.headings.filter(({ level }) => level === 2);
  const contents =
    parts.length > 2
      ? `<nav class="contents" aria-label="On this page"><h2>On this page</h2><ul>${parts
          .map(({ id, text }) => `<li><a href="#${id}">${escape(text)}</a></li>`)
          .join('')}</ul></nav>`
      : '';
  const onward = next ? `<p class="next"><a href="${next.href}">Next: ${escape(next.title)}</a></p>` : '';
  return `<!doctype html>
<html lang="en" data-root="${root}" data-search="${root}${assets['search.json']}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(page.title)} · Portcullis</title>
<link rel="icon" href="${root}${assets['icon.svg']}">
<link rel="stylesheet" href="${root}${assets['site.css']}">
<script type="module" src="${root}${assets['site.js']}"></script>
</head>
<body>
<a class="skip" href="#text">Skip to the text</a>
<header>
<a class="brand" href="${root}index.html">Portcullis <span>documentation</span></a>
<search><label class="hidden" for="query">Search the documentation</label>
<input id="query" type="search" placeholder="Search: a reason, a setting, a word" autocomplete="off" role="combobox" aria-expanded="false" aria-controls="hits" aria-autocomplete="list">
<ul id="hits" role="listbox" aria-label="Results" hidden></ul>
<p id="hits-note" class="hidden" role="status"></p></search>
<a class="chat" href="/">Chat</a>
</header>
<div class="columns">
<details class="menu"><summary>Pages</summary><nav aria-label="Pages">${menu}</nav></details>
<main id="text" tabindex="-1">
${page.html}
${onward}
</main>
${contents}
</div>
</body>
</html>
`;
}
