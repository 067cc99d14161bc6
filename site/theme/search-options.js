// How the index is made and asked: the same on both sides, or nothing is found.

export const SEARCH = {
  fields: ['heading', 'page', 'text'],
  storeFields: ['page', 'heading'],
  // Names such as TOKEN_EXPIRED and token.required_scopes are words, and so are their parts.
  tokenize: (text) => {
    const words = text.match(/[\p{L}\p{N}_.-]+/gu) ?? [];
    return words.flatMap((word) => [word, ...word.split(/[_.-]/).filter((part) => part && part !== word)]);
  },
  searchOptions: { boost: { heading: 4, page: 2 }, prefix: true, fuzzy: 0.15, combineWith: 'AND' },
};
