// The beds, and what each can do wrong.

const token = [
  {
    name: 'no-signature-check',
    what: 'decodes the token and does not verify it',
    cases: ['rfc7515/5.2/signature', 'rfc7515/5.2/payload', 'rfc8725/3.2/foreign-key'],
  },
  { name: 'alg-none', what: 'takes `alg: none`', cases: ['rfc8725/3.2/alg-none'] },
  { name: 'alg-confusion', what: 'takes the algorithm from the token', cases: ['rfc8725/3.1/alg-confusion'] },
  { name: 'sample-secret', what: 'the secret is `changeme`', cases: ['rfc8725/3.5/known-secret'] },
  { name: 'expired', what: 'does not check `exp`', cases: ['rfc7519/4.1.4/expired'] },
  { name: 'no-audience', what: 'does not check `aud`', cases: ['rfc7519/4.1.3/audience'] },
  { name: 'no-issuer', what: 'does not check `iss`', cases: ['rfc8725/3.8/issuer'] },
];

const door = [
  { name: 'no-origin-check', what: 'lets pages of any site in', cases: ['rfc6455/10.2/foreign-origin', 'rfc6455/10.2/null-origin'] },
  { name: 'origin-substring', what: 'looks for its own name anywhere in the origin', cases: ['rule/look-alike-origin'] },
  { name: 'test-header', what: 'a header for tests opens the door', cases: ['rule/no-bypass'], symptom: 'works_in_tests' },
  { name: 'outlives-token', what: 'connections outlive their token', cases: ['rfc7519/4.1.4/live'] },
];

const late = ['rule/before-101/no-token', 'rule/before-101/short', 'rule/before-101/not-a-jwt', 'rfc7515/5.2/signature'];
const query = { name: 'query-token', what: 'takes the token in the query', cases: ['rfc6750/5.3/query'] };
const nameless = {
  name: 'no-subprotocol',
  what: 'selects no subprotocol though one was offered',
  cases: ['rule/browser-gets-a-name'],
  symptom: 'browser1006',
};
const broadcast = { name: 'broadcast', what: "sends every user's events to all", cases: ['rule/two-users'] };
const echo = { name: 'echo', what: 'selects the element with the token', cases: ['rule/no-echo'] };

export const BEDS = [
  {
    name: 'fastapi',
    title: 'FastAPI on uvicorn',
    plain: 'FastAPI as in the first example of every tutorial',
    right: 'FastAPI done right',
    command: ['.venv/bin/python', 'fastapi/app.py'],
    path: '/ws',
    profile: 'profile.toml',
    forms: ['subprotocol', 'bearer'],
    defects: [
      { name: 'accept-first', what: 'accepts, then authenticates', cases: late, symptom: 'browser1006' },
      {
        name: 'accept-first-hangs',
        what: 'accepts, and leaves the refused connection open',
        cases: ['rule/before-101/no-token', 'rule/before-101/short'],
      },
      {
        name: 'close-before-accept',
        what: 'closes before it accepts, which the framework makes a bare 403 of',
        cases: ['rfc9110/15.5.2/status', 'rfc6750/3.1/invalid-token', 'rule/says-why'],
        symptom: 'bare403',
      },
      {
        name: 'short-token-1011',
        what: '`ValueError` on a short token, after accepting, caught and closed with 1011',
        cases: ['rule/before-101/short', 'rule/never-1011'],
        symptom: 'closed1011',
      },
      {
        name: 'short-token-1006',
        what: '`ValueError` on a short token, after accepting, not caught',
        cases: ['rule/before-101/short'],
        symptom: 'browser1006',
      },
      {
        name: 'short-token-500',
        what: '`ValueError` on a short token, before accepting',
        cases: ['rule/before-101/short', 'rule/never-5xx'],
        symptom: 'closed1011',
      },
      echo,
      {
        name: 'two-element',
        what: "expects `['jwt', token]`, while clients send `jwt.<token>`",
        cases: ['rfc6750/2.1/header'],
        symptom: 'no_token',
        any: true,
      },
      {
        name: 'staging-bypass',
        what: 'waves everybody through where the environment is called `staging`',
        cases: ['rule/before-101/no-token'],
        symptom: 'works_in_tests',
      },
      ...door,
      ...token,
      query,
      nameless,
      { name: 'receive-text', what: 'raises on binary messages and on text that is no JSON', cases: ['rule/binary', 'rule/not-json'], symptom: 'closed1011' },
      broadcast,
      { name: 'traceback', what: 'shows its traceback in refusals', cases: ['rule/no-internals', 'rfc9110/11.6.1/challenge'] },
      { name: 'bare-refusal', what: 'refuses with 403 and no body', cases: ['rfc9110/15.5.2/status', 'rule/says-why'], symptom: 'bare403' },
    ],
  },
  {
    name: 'ws',
    title: 'Node `ws`',
    plain: '`ws` as in the first example of its documentation',
    right: '`ws` done right',
    command: ['node', 'node/ws.mjs'],
    path: '/ws',
    profile: 'profile.toml',
    forms: ['subprotocol', 'bearer'],
    defects: [
      { name: 'accept-first', what: 'authenticates in the `connection` event', cases: late, symptom: 'browser1006' },
      { name: 'dropped', what: 'destroys the socket of whom it refuses', cases: ['rule/before-101/no-token', 'rule/before-101/short'] },
      { name: 'no-challenge', what: 'a 401 without WWW-Authenticate', cases: ['rfc9110/11.6.1/challenge'] },
      {
        name: 'short-token-throws',
        what: 'throws on a short token',
        cases: ['rule/before-101/short', 'rule/never-5xx'],
        symptom: 'closed1011',
      },
      echo,
      ...door,
      ...token,
      query,
      {
        name: 'cookie-any-origin',
        what: 'takes the token from a cookie, from pages of any site',
        cases: ['rule/cross-site-hijacking', 'rfc6455/10.2/foreign-origin'],
      },
      nameless,
      { name: 'throws', what: 'closes with 1011 on text that is no JSON', cases: ['rule/not-json'], symptom: 'closed1011' },
      broadcast,
    ],
  },
  {
    name: 'socketio',
    title: 'Socket.IO',
    plain: 'Socket.IO as it comes',
    right: 'Socket.IO with a strict `allowRequest`',
    command: ['node', 'node/socketio.mjs'],
    path: '/socket.io/?EIO=4&transport=websocket',
    profile: 'socketio',
    forms: ['bearer'],
    defects: [
      {
        name: 'middleware-only',
        what: 'authenticates in `io.use()`, which runs after the 101',
        cases: ['rule/before-101/no-token', 'rule/before-101/short', 'rfc7515/5.2/signature'],
      },
      { name: 'echo', what: 'selects the first subprotocol that is offered, as the library does', cases: ['rule/no-echo'], any: true },
      ...door,
      ...token,
    ],
  },
];
