/** What stands in the middle of an otherwise empty page, before there is anything to show: the same for chat and dashboard. */

import type { Refusal } from '@portcullis/client';
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { Brand, Spinner } from './parts.tsx';
import { RefusalCard } from './refusal.tsx';

function Entrance({ children }: { children: ComponentChildren }) {
  return (
    <main class="centre">
      <Brand large />
      {children}
    </main>
  );
}

/** `children` says what is waited for. */
export function Loading({ children }: { children: ComponentChildren }) {
  return (
    <Entrance>
      <p class="muted row" role="status">
        <Spinner /> {children}
      </p>
    </Entrance>
  );
}

/** The server could not be asked; `again` is what the button says and does. */
export function Failed({ refusal, again, children }: { refusal: Refusal; again: { label: string; run: () => void }; children?: ComponentChildren }) {
  return (
    <Entrance>
      <RefusalCard refusal={refusal} actions={[{ ...again, primary: true }]} />
      {children}
    </Entrance>
  );
}

/** A card with a way to sign in, and below it why the last attempt was refused. `foot` stands below both. */
export function SignIn({ title, refusal, children, foot }: { title: string; refusal: Refusal | undefined; children: ComponentChildren; foot?: ComponentChildren }) {
  return (
    <Entrance>
      <div class="card sign-in">
        <h1>{title}</h1>
        {children}
      </div>
      {refusal !== undefined && <RefusalCard refusal={refusal} />}
      {foot}
    </Entrance>
  );
}

/** The fields of a secret and the button that sends them; one attempt at a time. */
export function SignInForm({ attempt, children }: { attempt: () => Promise<void>; children: ComponentChildren }) {
  const busy = useSignal(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy.value) return;
    busy.value = true;
    await attempt();
    busy.value = false;
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      {children}
      <button type="submit" class="button primary wide" disabled={busy.value}>
        {busy.value ? <Spinner label="Signing in" /> : 'Sign in'}
      </button>
    </form>
  );
}

/** Stands above everything once the server has another page than this one. */
export function OldPageBanner() {
  return (
    <div class="banner" role="alert">
      <p>
        <strong>This page is older than its server.</strong> Reload to get the version that fits; until then things may fail in
        odd ways.
      </p>
      <button type="button" class="button" onClick={() => location.reload()}>
        Reload
      </button>
    </div>
  );
}
