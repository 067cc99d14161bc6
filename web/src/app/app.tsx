/** The shell: one screen for each phase, and the banner above them. */

import { ChatScreen } from '../chat/chat-screen.tsx';
import { Failed, Loading, OldPageBanner } from '../ui/entrance.tsx';
import { SignInScreen } from './sign-in-screen.tsx';
import { phase, stale, start } from './store.ts';

export function App() {
  return (
    <>
      {stale.value && <OldPageBanner />}
      <Screen />
    </>
  );
}

function Screen() {
  const now = phase.value;
  switch (now.kind) {
    case 'loading':
      return <Loading>Looking for the gateway…</Loading>;
    case 'failed':
      return <Failed refusal={now.refusal} again={{ label: 'Try again', run: () => void start() }} />;
    case 'signed-out':
      return <SignInScreen refusal={now.refusal} />;
    case 'signed-in':
      return <ChatScreen session={now.session} />;
    default:
      return now satisfies never;
  }
}
