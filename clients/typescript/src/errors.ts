/**
 * Refusals: why a connection, a message or a run was turned down, in one shape wherever it was said: in the body of an
 * HTTP answer, in the preflight's decision, in a close frame, in an `error` event, or by the network.
 */

import type { ErrorNotice } from './events.gen.js';
import { isReason, REASONS } from './reasons.gen.js';
import type { Reason, Retry } from './reasons.gen.js';

/** What only this side can see: no server said anything. */
export type LocalReason =
  /** Nothing answered at that address. */
  | 'UNREACHABLE'
  /** The gateway would accept the connection, yet the WebSocket does not open: something between blocks upgrades. */
  | 'UPGRADE_BLOCKED'
  /** A live connection ended without a word. */
  | 'CONNECTION_LOST'
  /** The token callback failed. */
  | 'TOKEN_UNAVAILABLE'
  /** Too many questions wait for the server already. */
  | 'OUTBOX_FULL'
  /** The server said no in words that this client does not know. */
  | 'UNKNOWN';

/** Where a refusal was read. */
export type RefusalSource = 'http' | 'preflight' | 'close' | 'event' | 'local';

/** One refusal, ready to be shown: title, what to do, and the id under which the server's log knows it. */
export interface Refusal {
  readonly reason: Reason | LocalReason;
  readonly title: string;
  /** What to change in this very case, if there is more to say than the title. */
  readonly detail?: string;
  readonly remedy: string;
  readonly retry: Retry;
  readonly requestId?: string;
  /** The connection that a close frame ended, as the server's log names it. */
  readonly connectionId?: string;
  /** The HTTP status that the handshake or the request earned. */
  readonly status?: number;
  /** The close code, where a close frame (or its absence, 1006) ended a connection. */
  readonly closeCode?: number;
  readonly retryAfterMs?: number;
  readonly source: RefusalSource;
}

/** A refusal as an exception. The message is the title; nothing in it comes from a credential. */
export class RefusedError extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(`${refusal.reason}: ${refusal.title}`);
    this.name = 'RefusedError';
    this.refusal = refusal;
  }
}

/** A refusal that this side found out by itself. */
export function localRefusal(reason: LocalReason, extra: Partial<Omit<Refusal, 'reason' | 'source'>> = {}): Refusal {
  return { reason, ...LOCAL[reason], ...extra, source: 'local' };
}

/** A refusal by identifier, worded by the catalogue. */
export function catalogueRefusal(reason: Reason, source: RefusalSource, extra: Partial<Refusal> = {}): Refusal {
  const { title, remedy, retry } = REASONS[reason];
  return { reason, title, remedy, retry, ...extra, source };
}

/**
 * Reads an RFC 9457 problem document with our members beside the standard ones. Unknown members are ignored (§3.2); a
 * body that is no such document gives `UNKNOWN` with the status.
 */
export function problemRefusal(body: unknown, source: RefusalSource, status?: number, headers?: Headers): Refusal {
  const members = isRecord(body) ? body : {};
  const retryAfter = Number(headers?.get('retry-after') ?? Number.NaN);
  const requestId = text(members['request_id']) ?? headers?.get('x-request-id') ?? undefined;
  const seen = typeof members['status'] === 'number' ? members['status'] : status;
  const detail = text(members['detail']);
  const extra = {
    ...(seen === undefined ? {} : { status: seen }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(detail === undefined ? {} : { detail }),
    ...(Number.isFinite(retryAfter) ? { retryAfterMs: retryAfter * 1000 } : {}),
  };
  const reason = text(members['reason']);
  if (reason === undefined || !isReason(reason)) {
    return {
      ...localRefusal('UNKNOWN', extra),
      ...(seen !== undefined && seen >= 500 ? { retry: 'backoff' as const } : {}),
      ...worded(members),
      source,
    };
  }
  return { ...catalogueRefusal(reason, source, extra), ...worded(members) };
}

/**
 * Reads a close frame: its text starts with the identifier. Without one the code decides, so that codes this client has
 * never met still say whether trying again helps (4400-4499 change something first, 4500-4599 try again later).
 */
export function closeRefusal(code: number, reasonText: string): Refusal {
  const named = /^([A-Z][A-Z_]+)(?:[:\s]+(.*))?$/s.exec(reasonText);
  if (named?.[1] !== undefined && isReason(named[1])) {
    const detail = named[2]?.trim();
    return catalogueRefusal(named[1], 'close', {
      closeCode: code,
      ...(detail !== undefined && detail !== '' && detail !== REASONS[named[1]].title ? { detail } : {}),
    });
  }
  if (code === 1005 || code === 1006) return localRefusal('CONNECTION_LOST', { closeCode: code });
  const detail = reasonText === '' ? `close code ${code}` : `close code ${code}: ${reasonText}`;
  return { ...localRefusal('UNKNOWN', { closeCode: code, detail, retry: retryByCode(code) }), source: 'close' };
}

function retryByCode(code: number): Retry {
  if (code >= 4500 && code <= 4599) return 'backoff';
  if (code >= 4400 && code <= 4499) return 'after_change';
  switch (code) {
    case 1008:
      return 'after_change';
    case 1002:
    case 1003:
    case 1007:
    case 1009:
    case 1010:
      return 'never';
    default:
      return 'backoff';
  }
}

/** The server's own words, where it sent some: they are newer than the ones compiled into this client. */
function worded(members: Record<string, unknown>): Partial<Refusal> {
  const title = text(members['title']);
  const remedy = text(members['remedy']);
  const retry = members['retry'];
  return {
    ...(title === undefined ? {} : { title }),
    ...(remedy === undefined ? {} : { remedy }),
    ...(retry === 'never' || retry === 'after_change' || retry === 'backoff' || retry === 'now' ? { retry } : {}),
  };
}

/** Reads the payload of an `error` event. */
export function noticeRefusal(notice: Readonly<ErrorNotice>): Refusal {
  const { reason, message, request_id: requestId } = notice;
  const extra = {
    ...(message === '' ? {} : { detail: message }),
    ...(requestId === undefined ? {} : { requestId }),
  };
  if (!isReason(reason)) return { ...localRefusal('UNKNOWN', extra), ...worded({ ...notice }), source: 'event' };
  return { ...catalogueRefusal(reason, 'event', extra), ...worded({ ...notice }) };
}

/** A plain JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

const LOCAL: Readonly<Record<LocalReason, Pick<Refusal, 'title' | 'remedy' | 'retry'>>> = {
  UNREACHABLE: {
    title: 'The server does not answer',
    remedy: 'Check that the server runs and that this device is online. The connection is tried again by itself.',
    retry: 'backoff',
  },
  UPGRADE_BLOCKED: {
    title: 'Something on the way blocks WebSockets',
    remedy:
      'The server accepts this connection, yet it does not open. Let the proxy in between pass the Upgrade and Connection headers.',
    retry: 'backoff',
  },
  CONNECTION_LOST: {
    title: 'The connection was lost',
    remedy: 'Nothing to do: it is opened again by itself, and what was missed is fetched.',
    retry: 'backoff',
  },
  TOKEN_UNAVAILABLE: {
    title: 'No token could be had',
    remedy: 'Sign in again.',
    retry: 'never',
  },
  OUTBOX_FULL: {
    title: 'Too many questions wait for the server',
    remedy: 'Ask again when the connection is back and the ones before were taken.',
    retry: 'backoff',
  },
  UNKNOWN: {
    title: 'The server refused without a reason that is known here',
    remedy: 'Look for the request id in the server’s log, or update this client.',
    retry: 'never',
  },
};
