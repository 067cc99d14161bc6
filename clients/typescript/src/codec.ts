/** Text in, messages out, and back; nothing here keeps state. */

import { isRecord } from './errors.js';
import type { ClientMessage, ServerMessage } from './events.gen.js';

/** The subprotocols to offer, in the canonical form: plain names to select from, then the token, wrapped. */
export function offer(token: string, names: readonly string[]): string[] {
  return [...names, `jwt.${base64url(token)}`];
}

/** base64url without padding, over the UTF-8 bytes of `value`. (RFC 4648 §5) */
export function base64url(value: string): string {
  const bytes = new TextEncoder().encode(value);
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/**
 * Reads a server message, or gives `undefined` for what is none. Types that this version does not know pass: changes are
 * additive, and a caller's `switch` ignores them.
 */
export function decode(data: unknown): ServerMessage | undefined {
  if (typeof data !== 'string') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || typeof value['type'] !== 'string') return undefined;
  if (!isRecord(value['payload'])) return undefined;
  return value as unknown as ServerMessage;
}

/** One text message. */
export function encode(message: ClientMessage): string {
  return JSON.stringify(message);
}
