/** Signing in: with a name and a password, or with a token from elsewhere. */

import type { Refusal } from '@portcullis/client';
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { SignIn, SignInForm } from '../ui/entrance.tsx';
import { DocsLink } from '../ui/parts.tsx';
import { canSignIn, signIn, useToken } from './store.ts';

export function SignInScreen({ refusal }: { refusal: Refusal | undefined }) {
  const withPassword = canSignIn();
  const byToken = useSignal(!withPassword);
  return (
    <SignIn title={byToken.value ? 'Use a token' : 'Sign in'} refusal={refusal} foot={<DocsLink />}>
      {byToken.value ? <TokenForm /> : <PasswordForm refusal={refusal} />}
      {withPassword && (
        <button type="button" class="link" onClick={() => (byToken.value = !byToken.value)}>
          {byToken.value ? 'Sign in with a password instead' : 'Use an access token instead'}
        </button>
      )}
    </SignIn>
  );
}

function PasswordForm({ refusal }: { refusal: Refusal | undefined }) {
  const username = useRef<HTMLInputElement>(null);
  const password = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // After a refusal the name is most often right: the password is what is typed again.
    (refusal !== undefined && username.current?.value !== '' ? password : username).current?.focus();
  }, [refusal]);
  const attempt = async () => {
    await signIn(username.current?.value ?? '', password.current?.value ?? '');
    if (password.current !== null) password.current.value = '';
    password.current?.focus();
  };
  return (
    <SignInForm attempt={attempt}>
      <label>
        User name
        <input ref={username} name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required />
      </label>
      <label>
        Password
        <input ref={password} name="password" type="password" autocomplete="current-password" required />
      </label>
    </SignInForm>
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
