/** Logging in with the operator's key. */

import type { Refusal } from '@portcullis/client';
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { RefusalCard } from '../ui/refusal.tsx';
import { Brand, Spinner } from '../ui/parts.tsx';
import { signIn } from './store.ts';

export function LoginScreen({ refusal }: { refusal: Refusal | undefined }) {
  const busy = useSignal(false);
  const key = useRef<HTMLInputElement>(null);
  useEffect(() => key.current?.focus(), [refusal]);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy.value) return;
    busy.value = true;
    const typed = key.current?.value ?? '';
    if (key.current !== null) key.current.value = '';
    await signIn(typed);
    busy.value = false;
  };
  return (
    <main class="centre">
      <Brand large />
      <div class="card sign-in">
        <h1>Operator dashboard</h1>
        <form onSubmit={(event) => void submit(event)}>
          {/* For password managers, which keep a name with each password. */}
          <input class="visually-hidden" name="username" value="operator" autocomplete="username" tabIndex={-1} aria-hidden="true" readOnly />
          <label>
            Operator key
            <input ref={key} name="key" type="password" autocomplete="current-password" spellcheck={false} required />
          </label>
          <p class="hint">
            It is in the server’s data directory: <code>secrets/operator.key</code>. The server names the file when it starts.
          </p>
          <button type="submit" class="button primary wide" disabled={busy.value}>
            {busy.value ? <Spinner label="Signing in" /> : 'Sign in'}
          </button>
        </form>
      </div>
      {refusal !== undefined && <RefusalCard refusal={refusal} />}
    </main>
  );
}
