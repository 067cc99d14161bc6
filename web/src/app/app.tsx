/** The shell: one screen for each phase, and the banner above them. */

import { ChatScreen } from '../chat/chat-screen.tsx';
import { RefusalCard } from '../ui/refusal.tsx';
import { Brand, Spinner } from '../ui/parts.tsx';
import { SignInScreen } from './sign-in-screen.tsx';
import { phase, stale, start } from './store.ts';

export function App() {
  return (
    <>
      {stale.value && <StaleBanner />}
      <Screen />
    </>
  );
}

function Screen() {
  const now = phase.value;
  switch (now.kind) {
    case 'loading':
      return (
        <main class="centre">
          <Brand large />
          <p class="muted row" role="status">
            <Spinner /> Looking for the gateway…
          </p>
        </main>
      );
    case 'failed':
      return (
        <main class="centre">
          <Brand large />
          <RefusalCard refusal={now.refusal} actions={[{ label: 'Try again', run: () => void start(), primary: true }]} />
        </main>
      );
    case 'signed-out':
      return <SignInScreen refusal={now.refusal} />;
    case 'signed-in':
      return <ChatScreen session={now.session} />;
    default:
      return now satisfies never;
  }
}

function StaleBanner() {
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
