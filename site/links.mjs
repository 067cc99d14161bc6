// Links as they stand in the repository, turned into links of the site.

import { posix } from 'node:path';

/** Whether a link leaves the repository. */
const isForeign = (href) => /^[a-z][a-z0-9+.-]*:|^\/\//i.test(href);

/**
 * The path from the root of the repository that a link in `source` leads to, and its fragment.
 * @returns {{ path: string, fragment: string } | undefined} nothing for a link that leaves the repository
 */
export function target(source, href) {
  if (isForeign(href)) return undefined;
  const [path, fragment = ''] = href.split('#');
  if (path === '') return { path: source, fragment };
  return { path: posix.normalize(posix.join(posix.dirname(source), decodeURI(path))), fragment };
}

/** How the page `from` names the file `to`, both below /docs/. */
export function relative(from, to) {
  const path = posix.relative(posix.dirname(from), to);
  return path === '' ? posix.basename(to) : path;
}
