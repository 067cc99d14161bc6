/** Signing in: with a name and a password, or with a token from elsewhere. */

import type { Refusal } from '@portcullis/client';
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Brand, DocsLink, Spinner } from '../ui/parts.tsx';
import { RefusalCard } from '../ui/refusal.tsx';
import { canSignIn, signIn, useToken } from './store.ts';

export function SignInScreen({ refusal }: { refusal: Refusal | undefined }) {
  const withPassword = canSignIn();
  const byToken = useSignal(!withPassword);
  return (
    <main class="centre">
      <Brand large />
      <div class="card sign-in">
        <h1>{byToken.value ? 'Use a token' : 'Sign in'}</h1>
        {byToken.value ? <TokenForm /> : <PasswordForm refusal={refusal} />}
        {withPassword && (
          <button type="button" class="link" onClick={() => (byToken.value = !byToken.value)}>
            {byToken.value ? 'Sign in with a password instead' : 'Use an access token instead'}
          </button>
        )}
      </div>
      {refusal !== undefined && <RefusalCard refusal={refusal} />}
      <DocsLink />
    </main>
  );
}

function PasswordForm({ refusal }: { refusal: Refusal | undefined }) {
  const busy = useSignal(false);
  const username = useRef<HTMLInputElement>(null);
  const password = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // After a refusal the name is most often right: the password is what is typed again.
    (refusal !== undefined && username.current?.value !== '' ? password : username).current?.focus();
  }, [refusal]);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy.value) return;
    busy.value = true;
    await signIn(username.current?.value ?? '', password.current?.value ?? '');
    busy.value = false;
    if (password.current !== null) password.current.value = '';
    password.current?.focus();
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      <label>
        User name
        <input ref={username} name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required />
      </label>
      <label>
        Password
        <input ref={password} name="password" type="password" autocomplete="current-password" required />
      </label>
      <button type="submit" class="button primary wide" disabled={busy.value}>
        {busy.value ? <Spinner label="Signing in" /> : 'Sign in'}
      </button>
    </form>
  );
}

function TokenForm() {
  const token = useRef<HTMLTextAreaElement>(null);
  useEffect(() => token.current?.focus(), []);
  const submit = (event: Event) => {
    event.preventDefault();
    const value = token.current?.value ?? '';
    if (value.trim() !== '') useToken(value);
  };
  return (
    <form onSubmit={submit}>
      <label>
        Access token
        <textarea ref={token} name="token" class="mono" rows={5} autocomplete="off" spellcheck={false} required />
      </label>
      <p class="hint">
        For example from <code>portcullis token mint</code>. It stays in this page’s memory and is gone when you reload.
      </p>
      <button type="submit" class="button primary wide">
        Connect
      </button>
    </form>
  );
}
