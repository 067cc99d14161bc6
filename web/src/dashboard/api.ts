/** What the admin listener tells, and how it is asked. Every failure is a `RefusedError`. */

import { localRefusal, problemRefusal, RefusedError } from '@portcullis/client';

export type Counts = Readonly<Record<string, number>>;

/** Counts of a bucket, or since the server's start. What is zero is not there. */
export interface Figures {
  readonly accepted?: number;
  readonly refused?: Counts;
  readonly dropped?: number;
  readonly messages?: number;
  readonly messages_refused?: Counts;
  readonly events?: number;
  readonly deliveries?: number;
  readonly overflows?: number;
  /** Seconds from queueing to written, by share of the batches. */
  readonly latency?: { readonly p50: number; readonly p95: number; readonly p99: number };
  readonly runs_completed?: number;
  readonly runs_failed?: Counts;
  readonly heartbeat_timeouts?: number;
  readonly stale_pages?: number;
  readonly closes?: Counts;
}

export interface Gauges {
  readonly connections: Counts;
  readonly open: number;
  readonly queue_bytes: number;
  readonly queue_bytes_largest: number;
  readonly runs_going: number;
  readonly runs_waiting: number;
}

/** A few seconds of the past. */
export interface Bucket extends Figures, Gauges {
  readonly seq: number;
  /** Its end, in milliseconds since 1970. */
  readonly at: number;
}

export interface Objective {
  readonly id: string;
  readonly title: string;
  readonly formula: string;
  readonly target: number;
  readonly good: number;
  readonly bad: number;
  readonly ratio: number | null;
  readonly budget_left: number;
  readonly window_s: number;
}

export interface ProbeEntry {
  readonly at: number;
  readonly ok: boolean;
  readonly duration_ms: number;
  readonly steps: readonly { readonly name: string; readonly ms: number }[];
  readonly failed: { readonly step: string; readonly reason: string } | null;
}

export interface Probe {
  /** Why no probe runs, if none does. */
  readonly off: string | null;
  readonly interval_s: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly rate: number | null;
  readonly entries: readonly ProbeEntry[];
}

export interface Snapshot {
  readonly now: number;
  readonly node: string;
  readonly version: string;
  readonly build: string;
  readonly uptime_s: number;
  readonly draining: boolean;
  readonly bucket_ms: number;
  readonly totals: Figures;
  readonly gauges: Gauges;
  readonly buckets: readonly Bucket[];
  readonly objectives: readonly Objective[];
  readonly probe: Probe;
  readonly refusals: number;
}

/** What was sent, in its shape. */
export interface Evidence {
  readonly method: string;
  readonly path: string;
  readonly query: readonly string[];
  readonly origin: string | null;
  readonly host: string | null;
  readonly authorization: readonly string[];
  readonly protocols: readonly string[];
  readonly version: number | null;
  readonly headers: readonly string[];
  readonly stale_page: boolean | null;
}

/** One refused handshake. */
export interface RefusedHandshake {
  readonly seq: number;
  readonly request_id: string;
  readonly at: string;
  readonly reason: string;
  readonly title: string;
  readonly status: number | null;
  readonly fault: string;
  readonly detail: string;
  readonly hint: string | null;
  readonly remedy: string;
  readonly form: string | null;
  readonly peer: string;
  readonly probe: boolean;
  readonly evidence: Evidence | null;
}

export function logIn(key: string): Promise<Response> {
  return request('/admin/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ key }),
  });
}

/** Whether this browser is logged in. */
export async function isLoggedIn(): Promise<boolean> {
  const response = await request('/admin/session');
  return ((await response.json()) as { expires_in: number }).expires_in > 0;
}

export async function logOut(): Promise<void> {
  await request('/admin/logout', { method: 'POST' });
}

/** The figures now, with the buckets after the one that is known. */
export async function fetchSnapshot(after: number | undefined): Promise<Snapshot> {
  const response = await request(after === undefined ? '/admin/snapshot' : `/admin/snapshot?after=${after}`);
  return (await response.json()) as Snapshot;
}

export interface RefusalQuery {
  readonly reason?: string;
  readonly request_id?: string;
  readonly limit?: number;
}

/** Single refused handshakes, newest first. */
export async function fetchRefusals(query: RefusalQuery): Promise<readonly RefusedHandshake[]> {
  const parameters = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const response = await request(`/admin/refusals?${parameters.toString()}`);
  return ((await response.json()) as { refusals: RefusedHandshake[] }).refusals;
}

/** An answer that takes longer is as good as none. */
const PATIENCE_MS = 10_000;

async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      ...init,
      cache: 'no-store',
      credentials: 'same-origin',
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new RefusedError(
      localRefusal('UNREACHABLE', {
        title: 'The server does not answer',
        remedy: 'Check that it runs. The dashboard asks again by itself.',
      }),
    );
  }
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => undefined);
  throw new RefusedError(problemRefusal(body, 'http', response.status, response.headers));
}
