// What the pages do beyond being read: search, and copying code.


const MOST_HITS = 10;
const { root, search } = document.documentElement.dataset;
const query = document.querySelector('#query');
const hits = document.querySelector('#hits');
const note = document.querySelector('#hits-note');

// Fetched when somebody first means to search: most visits never do.
let loading;
const load = () => {
  loading ??= Promise.all([fetch(search), import('minisearch'), import('./search-options.js')]).then(
    async ([response, { default: MiniSearch }, { SEARCH }]) => {
      if (!response.ok) throw new Error(`status ${response.status}`);
      return MiniSearch.loadJSON(await response.text(), SEARCH);
    },
  );
  loading.catch(() => (loading = undefined));
  return loading;
};

let active = -1;
const options = () => [...hits.querySelectorAll('[role=option]')];

function mark(next) {
  active = next;
  options().forEach((option, index) => {
    option.setAttribute('aria-selected', String(index === next));
    if (index === next) option.scrollIntoView({ block: 'nearest' });
  });
  if (next < 0) query.removeAttribute('aria-activedescendant');
  else query.setAttribute('aria-activedescendant', `hit-${next}`);
}

function close() {
  hits.hidden = true;
  query.setAttribute('aria-expanded', 'false');
  mark(-1);
}

function show(found) {
  hits.replaceChildren(
    ...found.map(({ id, page, heading }, index) => {
      const item = document.createElement('li');
      item.id = `hit-${index}`;
      item.role = 'option';
      item.dataset.href = root + id;
      const title = document.createElement('strong');
      title.textContent = heading;
      item.append(title);
      if (heading !== page) {
        const place = document.createElement('span');
        place.textContent = page;
        item.append(place);
      }
      return item;
    }),
  );
  hits.hidden = found.length === 0;
  query.setAttribute('aria-expanded', String(found.length > 0));
  mark(found.length > 0 ? 0 : -1);
}

query.addEventListener('focus', () => void load().catch(() => {}));
query.addEventListener('input', async () => {
  const words = query.value.trim();
  if (words === '') {
    note.textContent = '';
    close();
    return;
  }
  try {
    const index = await load();
    // Typed on while the index came.
    if (query.value.trim() !== words) return;
    const found = index.search(words).slice(0, MOST_HITS);
    show(found);
    note.className = found.length === 0 ? 'note' : 'hidden';
    note.textContent = found.length === 0 ? 'Nothing found.' : `${found.length} results`;
  } catch {
    close();
    note.className = 'note';
    note.textContent = 'The search cannot be loaded. Try again in a moment.';
  }
});
query.addEventListener('keydown', (event) => {
  const count = options().length;
  if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    if (count === 0) return;
    event.preventDefault();
    mark((active + (event.key === 'ArrowDown' ? 1 : count - 1)) % count);
  } else if (event.key === 'Enter') {
    open(options()[active]);
  } else if (event.key === 'Escape') {
    close();
  }
});
const open = (option) => option && location.assign(option.dataset.href);
hits.addEventListener('click', (event) => open(event.target.closest('[role=option]')));
document.addEventListener('click', (event) => {
  if (!event.target.closest('search')) close();
});
document.addEventListener('keydown', (event) => {
  const typing = event.target.closest('input, textarea, [contenteditable]');
  if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    query.focus();
  }
});

for (const block of document.querySelectorAll('.code')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Copy';
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(block.querySelector('code').textContent);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Select and copy by hand';
    }
    setTimeout(() => (button.textContent = 'Copy'), 2000);
  });
  block.append(button);
}

// On a wide screen the list of pages is always open; on a narrow one it opens when asked.
const menu = document.querySelector('.menu');
const wide = matchMedia('(min-width: 60rem)');
const fit = () => (menu.open = wide.matches);
wide.addEventListener('change', fit);
fit();
