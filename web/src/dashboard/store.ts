/** What the dashboard knows, and the loop that keeps it fresh. */

import { computed, signal } from '@preact/signals';
import { localRefusal, type Refusal, RefusedError } from '@portcullis/client';
import { type Bucket, fetchRefusals, fetchSnapshot, isLoggedIn, logIn, logOut, type RefusedHandshake, type Snapshot } from './api.ts';
import { merge, within } from './series.ts';

export type Phase =
  | { readonly kind: 'loading' }
  | { readonly kind: 'signed-out'; readonly refusal?: Refusal }
  /** Nothing was ever heard of the server. */
  | { readonly kind: 'failed'; readonly refusal: Refusal }
  | { readonly kind: 'open' };

export const phase = signal<Phase>({ kind: 'loading' });
export const snapshot = signal<Snapshot | undefined>(undefined);
export const buckets = signal<readonly Bucket[]>([]);
/** Minutes that are shown. */
export const span = signal(15);
/** Why the last look failed, while older figures are still on screen. */
export const trouble = signal<Refusal | undefined>(undefined);
/** When something was heard last, by this browser's clock. */
export const heardAt = signal(0);
/** This browser's clock, ticking. */
export const now = signal(Date.now());
/** Which refusals are looked at. */
export const wanted = signal<Wanted>({ kind: 'all' });
export const refusals = signal<RefusalList>({ kind: 'loading' });

export type Wanted =
  | { readonly kind: 'all' }
  | { readonly kind: 'reason'; readonly reason: string }
  | { readonly kind: 'request'; readonly requestId: string };

export type RefusalList =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly refusal: Refusal }
  | { readonly kind: 'known'; readonly list: readonly RefusedHandshake[] };

/** The buckets on screen. */
export const shown = computed(() => within(buckets.value, snapshot.value?.now ?? 0, span.value));

/** Seconds since something was heard; figures that old are marked. */
export const age = computed(() => Math.max(0, (now.value - heardAt.value) / 1000));
export const isStale = computed(() => age.value > STALE_S);

/** Whether the server runs another build than the one that this page came from. */
export const isOldPage = computed(() => {
  const own = document.querySelector<HTMLMetaElement>('meta[name="portcullis-build"]')?.content;
  const build = snapshot.value?.build;
  return own !== undefined && build !== undefined && build !== '' && build !== own;
});

const EVERY_MS = 2_000;
const SLOWEST_MS = 15_000;
const STALE_S = 12;
const LISTED = 100;

let timer: ReturnType<typeof setTimeout> | undefined;
let failures = 0;
/** Each look gets a number, so that an answer to an earlier one is recognised. */
let looks = 0;

/** Begins, and goes on by itself. */
export function start(): void {
  setInterval(() => {
    now.value = Date.now();
  }, 1_000);
  document.addEventListener('visibilitychange', () => {
    // What nobody looks at is not asked for.
    if (document.hidden) clearTimeout(timer);
    else if (phase.value.kind === 'open') void look();
  });
  void look();
}

/** Looks now, and then again and again. */
export async function look(): Promise<void> {
  clearTimeout(timer);
  const number = ++looks;
  try {
    // Asked first, so that a browser without a session is not refused: that would be in its console as a fault.
    if (phase.value.kind !== 'open' && !(await isLoggedIn())) {
      if (number === looks) phase.value = { kind: 'signed-out' };
      return;
    }
    const fresh = await fetchSnapshot(buckets.value.at(-1)?.seq);
    if (number !== looks) return;
    take(fresh);
  } catch (error) {
    if (number !== looks) return;
    fail(refusalOf(error));
  }
  if (phase.value.kind === 'signed-out' || document.hidden) return;
  timer = setTimeout(() => void look(), Math.min(EVERY_MS * 2 ** failures, SLOWEST_MS));
}

function take(fresh: Snapshot): void {
  const before = snapshot.value;
  // A server that was started again has a history of its own.
  const restarted = before !== undefined && before.node !== fresh.node;
  if (restarted && buckets.value.length > 0) {
    buckets.value = [];
    snapshot.value = undefined;
    void look();
    return;
  }
  failures = 0;
  trouble.value = undefined;
  heardAt.value = now.value = Date.now();
  buckets.value = merge(buckets.value, fresh.buckets);
  snapshot.value = fresh;
  phase.value = { kind: 'open' };
  if (before?.refusals !== fresh.refusals) void list();
}

function fail(refusal: Refusal): void {
  if (refusal.status === 401) {
    forget();
    phase.value = { kind: 'signed-out' };
    return;
  }
  failures = Math.min(failures + 1, 5);
  if (snapshot.value === undefined) phase.value = { kind: 'failed', refusal };
  else trouble.value = refusal;
}

/** Fetches the refusals that are looked at. */
export async function list(): Promise<void> {
  const asked = wanted.value;
  try {
    const found = await fetchRefusals(
      asked.kind === 'reason'
        ? { reason: asked.reason, limit: LISTED }
        : asked.kind === 'request'
          ? { request_id: asked.requestId, limit: LISTED }
          : { limit: LISTED },
    );
    if (wanted.value === asked) refusals.value = { kind: 'known', list: found };
  } catch (error) {
    if (wanted.value === asked) refusals.value = { kind: 'failed', refusal: refusalOf(error) };
  }
}

/** Looks at other refusals. */
export function want(next: Wanted): void {
  wanted.value = next;
  refusals.value = { kind: 'loading' };
  void list();
}

export async function signIn(key: string): Promise<void> {
  try {
    await logIn(key);
    phase.value = { kind: 'loading' };
    await look();
  } catch (error) {
    phase.value = { kind: 'signed-out', refusal: ofKey(refusalOf(error)) };
  }
}

/** The catalogue speaks of users and passwords. */
function ofKey({ detail, ...refusal }: Refusal): Refusal {
  if (refusal.reason !== 'LOGIN_FAILED') return detail === undefined ? refusal : { ...refusal, detail };
  return {
    ...refusal,
    title: 'This is not the operator key',
    remedy: 'Copy the one line in secrets/operator.key, in the server’s data directory.',
  };
}

export async function signOut(): Promise<void> {
  clearTimeout(timer);
  looks += 1;
  await logOut().catch(() => undefined);
  forget();
  phase.value = { kind: 'signed-out' };
}

/** Nothing stays on a screen that somebody else may look at next. */
function forget(): void {
  snapshot.value = undefined;
  buckets.value = [];
  refusals.value = { kind: 'loading' };
  wanted.value = { kind: 'all' };
  trouble.value = undefined;
}

function refusalOf(error: unknown): Refusal {
  return error instanceof RefusedError ? error.refusal : localRefusal('UNKNOWN');
}
