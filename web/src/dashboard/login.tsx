/** Logging in with the operator's key. */

import type { Refusal } from '@portcullis/client';
import { useEffect, useRef } from 'preact/hooks';
import { SignIn, SignInForm } from '../ui/entrance.tsx';
import { signIn } from './store.ts';

export function LoginScreen({ refusal }: { refusal: Refusal | undefined }) {
  const key = useRef<HTMLInputElement>(null);
  useEffect(() => key.current?.focus(), [refusal]);
  const attempt = async () => {
    const typed = key.current?.value ?? '';
    if (key.current !== null) key.current.value = '';
    await signIn(typed);
  };
  return (
    <SignIn title="Operator dashboard" refusal={refusal}>
      <SignInForm attempt={attempt}>
        {/* For password managers, which keep a name with each password. */}
        <input class="visually-hidden" name="username" value="operator" autocomplete="username" tabIndex={-1} aria-hidden="true" readOnly />
        <label>
          Operator key
          <input ref={key} name="key" type="password" autocomplete="current-password" spellcheck={false} required />
        </label>
        <p class="hint">
          It is in the server’s data directory: <code>secrets/operator.key</code>. The server names the file when it starts.
        </p>
      </SignInForm>
    </SignIn>
  );
}
