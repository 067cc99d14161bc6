/** Addresses that others wrote. */

/**
 * The address that a link may lead to, or nothing where it must stay text: pages of the web, letters, and places of this
 * page's own server. `page` is the address of the page that the link stands on.
 *
 * Browsers read more than is written: they take a backslash for a slash and leave out tabs and line ends. So what counts is
 * what the browser's own parser makes of it, and that is also what is given back.
 */
export function safeAddress(written: string, page: string | undefined = globalThis.location?.href): string | undefined {
  if (MISREAD.test(written)) return undefined;
  const isForeign = FOREIGN.test(written);
  if (!isForeign && !written.startsWith('/')) return undefined;
  const url = parse(written, isForeign ? undefined : page);
  if (url === undefined || !SCHEMES.has(url.protocol)) return undefined;
  // `https://bank.example@evil.example/` does not lead where it seems to.
  if (url.username !== '' || url.password !== '') return undefined;
  if (!isForeign && url.origin !== parse(page ?? '', undefined)?.origin) return undefined;
  return url.href;
}

function parse(written: string, base: string | undefined): URL | undefined {
  try {
    return new URL(written, base);
  } catch {
    return undefined;
  }
}

const SCHEMES: ReadonlySet<string> = new Set(['http:', 'https:', 'mailto:']);
const FOREIGN = /^(?:https?:\/\/|mailto:)/i;
/** Backslashes, white space and control characters: no address that means well has them. */
const MISREAD = /[\\\s\p{Cc}]/u;
