/** Who the tests sign in as. */
export const ADA = { name: 'ada', password: 'correct horse battery staple' };
export const BOB = { name: 'bob', password: 'an entirely different sentence' };
