// Builds docs/ into site/dist, from where the binary embeds it. Fails on a link or an anchor that leads nowhere, and on a
// page that no section names.

import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, extname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import MiniSearch from 'minisearch';
import { frame } from './layout.mjs';
import { relative, target } from './links.mjs';
import { address, sections } from './pages.mjs';
import { render } from './render.mjs';
import { SEARCH } from './theme/search-options.js';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const out = join(here, 'dist');
const faults = [];

const navigation = sections(root);
const sources = navigation.flatMap((section) => section.sources);
for (const file of readdirSync(join(root, 'docs'), { recursive: true })) {
  const source = `docs/${file}`;
  if (source.endsWith('.md') && !source.includes('node_modules') && !sources.includes(source)) {
    faults.push(`${source}: no section of site/pages.mjs names it`);
  }
}

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, 'assets'), { recursive: true });

/** Writes a file whose name tells its content, which a browser may keep for ever. */
function asset(name, content) {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 12);
  const extension = extname(name);
  const path = `assets/${name.slice(0, -extension.length)}-${hash}${extension}`;
  writeFileSync(join(out, path), content);
  return path;
}

// Files of docs/ that are no pages, such as pictures, schemas and examples, are copied when a page leads to them.
const copied = new Set();
const anchors = new Map();
const wanted = [];

const pages = sources.map((source) => {
  const url = address(source);
  const link = (href) => {
    const to = target(source, href);
    if (to === undefined) return href;
    if (sources.includes(to.path)) {
      wanted.push({ source, href, page: address(to.path), fragment: to.fragment });
      return relative(url, address(to.path)) + (to.fragment && `#${to.fragment}`);
    }
    if (!existsSync(join(root, to.path))) {
      faults.push(`${source}: the link ${href} leads nowhere`);
      return undefined;
    }
    // Code, and pages about folders of code, are read in the repository.
    if (!to.path.startsWith('docs/') || extname(to.path) === '') return undefined;
    copied.add(to.path);
    return relative(url, to.path.slice('docs/'.length));
  };
  const text = readFileSync(join(root, source), 'utf8').replaceAll(
    // `<!-- include: FILE -->` stands for the file, as a block of code: examples that are built and tested.
    /^<!-- include: (\S+) -->$/gm,
    (_, file) => {
      const path = posix.normalize(posix.join(posix.dirname(source), file));
      return `\`\`\`${extname(path).slice(1)}\n${readFileSync(join(root, path), 'utf8').trimEnd()}\n\`\`\``;
    },
  );
  const page = render(text, link);
  anchors.set(url, new Set(page.headings.map(({ id }) => id)));
  return { source, url, ...page };
});

for (const { source, href, page, fragment } of wanted) {
  if (fragment && !anchors.get(page).has(fragment)) faults.push(`${source}: the link ${href} has no such heading`);
}
if (faults.length > 0) {
  console.error(faults.join('\n'));
  process.exit(1);
}

const index = new MiniSearch(SEARCH);
index.addAll(
  pages.flatMap((page) =>
    page.sections
      .filter(({ heading, text }) => heading || text.trim())
      .map(({ id, heading, text }) => ({
        id: page.url + (id && `#${id}`),
        page: page.title,
        heading: heading || page.title,
        text: text.replaceAll(/\s+/g, ' ').trim(),
      })),
  ),
);

const theme = (name) => readFileSync(join(here, 'theme', name), 'utf8');
const assets = { 'search.json': asset('search.json', JSON.stringify(index)) };
// The library comes as one module, so a bundler would have nothing to do.
const library = readFileSync(join(here, 'node_modules/minisearch/dist/es/index.js'), 'utf8');
const modules = {
  minisearch: asset('minisearch.js', library.replace(/^\/\/# sourceMappingURL=.*$/m, '')),
  './search-options.js': asset('search-options.js', theme('search-options.js')),
};
const script = theme('site.js').replaceAll(/import\('([^']+)'\)/g, (_, name) => `import('./${posix.basename(modules[name])}')`);
assets['site.js'] = asset('site.js', script);
assets['site.css'] = asset('site.css', readFileSync(join(root, 'web/src/styles/theme.css'), 'utf8') + theme('site.css'));
assets['icon.svg'] = asset('icon.svg', readFileSync(join(root, 'web/src/ui/icon.svg')));

const visible = navigation.filter(({ hidden }) => !hidden);
const order = visible.flatMap((section) => section.sources);
const titles = new Map(pages.map(({ source, title }) => [source, title]));
for (const page of pages) {
  const menu = visible.map((section) => ({
    title: section.title,
    pages: section.sources.map((source) => ({
      title: titles.get(source),
      href: relative(page.url, address(source)),
      current: source === page.source,
    })),
  }));
  const onward = order[order.indexOf(page.source) + 1];
  const next =
    order.includes(page.source) && onward
      ? { title: titles.get(onward), href: relative(page.url, address(onward)) }
      : undefined;
  const up = '../'.repeat(page.url.split('/').length - 1);
  const file = join(out, page.url);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, frame(page, menu, { root: up || './', assets, next }));
}
for (const path of copied) cpSync(join(root, path), join(out, path.slice('docs/'.length)));

console.log(`site: ${pages.length} pages, ${wanted.length} links between them`);
