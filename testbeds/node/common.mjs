// What the beds of this folder share. Tokens are HS256 over SECRET, `iss` and `aud` are `bed`.

import { createHmac } from 'node:crypto';

import jwt from 'jsonwebtoken';

export const DEFECT = process.env.DEFECT ?? '';
const SECRET = process.env.SECRET;

const decode = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());

/** The claims of a good token; null for any other. */
export function verify(token) {
  try {
    if (DEFECT === 'alg-none' && decode(token.split('.')[0]).alg.toLowerCase() === 'none') return decode(token.split('.')[1]);
    if (DEFECT === 'no-signature-check') return decode(token.split('.')[1]);
    const secret = DEFECT === 'sample-secret' && signedWith(token, 'changeme') ? 'changeme' : SECRET;
    const claims = jwt.verify(token, secret, {
      algorithms: DEFECT === 'alg-confusion' ? ['HS256', 'HS384', 'HS512'] : ['HS256'],
      audience: DEFECT === 'no-audience' ? undefined : 'bed',
      issuer: DEFECT === 'no-issuer' ? undefined : 'bed',
      ignoreExpiration: DEFECT === 'expired',
    });
    return claims.exp === undefined ? null : claims;
  } catch {
    return null;
  }
}

function signedWith(token, secret) {
  const end = token.lastIndexOf('.');
  return createHmac('sha256', secret).update(token.slice(0, end)).digest('base64url') === token.slice(end + 1);
}

export const offeredBy = (request) =>
  (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim()).filter(Boolean);

/** The token of a request, or null. */
export function tokenOf(request) {
  if (DEFECT === 'query-token') {
    const found = new URL(request.url, 'http://bed').searchParams.get('token');
    if (found) return found;
  }
  if (DEFECT === 'cookie-any-origin') {
    const cookie = /(?:^|; )token=([^;]+)/.exec(request.headers.cookie ?? '');
    if (cookie) return cookie[1];
  }
  for (const name of offeredBy(request)) {
    if (!name.startsWith('jwt.')) continue;
    const raw = name.slice(4);
    if (DEFECT === 'short-token-throws' && raw.length < 10) throw new Error(`JWT token too short in subprotocol: ${name}`);
    return raw.length > 4096 ? '' : Buffer.from(raw, 'base64url').toString();
  }
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  return scheme.toLowerCase() === 'bearer' && token ? token : null;
}

export function originAllowed(request) {
  const { origin, host } = request.headers;
  if (DEFECT === 'no-origin-check' || DEFECT === 'cookie-any-origin' || origin === undefined) return true;
  return DEFECT === 'origin-substring' ? origin.includes(host.split(':')[0]) : origin === `http://${host}`;
}
