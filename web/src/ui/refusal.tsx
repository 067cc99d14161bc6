/** How every refusal is shown: what happened, what to do, and the id by which the server's log knows it. */

import type { Refusal } from '@portcullis/client';
import { useSignal } from '@preact/signals';

export interface RefusalAction {
  readonly label: string;
  readonly run: () => void;
  readonly primary?: boolean;
}

export function RefusalCard({ refusal, actions = [] }: { refusal: Refusal; actions?: readonly RefusalAction[] }) {
  const { reason, title, detail, remedy, requestId, connectionId, status, closeCode } = refusal;
  return (
    <section class="refusal" role="alert" data-reason={reason}>
      <header>
        <h2>{title}</h2>
        <code class="reason">{reason}</code>
      </header>
      {detail !== undefined && detail !== title && <p>{detail}</p>}
      {remedy !== title && (
        <p>
          <strong>What to do: </strong>
          {remedy}
        </p>
      )}
      {actions.length > 0 && (
        <div class="actions">
          {actions.map(({ label, run, primary }) => (
            <button key={label} type="button" class={primary === true ? 'button primary' : 'button'} onClick={run}>
              {label}
            </button>
          ))}
        </div>
      )}
      <footer>
        {status !== undefined && <span>HTTP {status}</span>}
        {closeCode !== undefined && <span>close code {closeCode}</span>}
        {requestId !== undefined && <LogName what="request id" id={requestId} />}
        {requestId === undefined && connectionId !== undefined && <LogName what="connection" id={connectionId} />}
      </footer>
    </section>
  );
}

/** By what the server's log knows it. */
function LogName({ what, id }: { what: string; id: string }) {
  const copied = useSignal(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(id);
    copied.value = true;
  };
  return (
    <span class="request-id">
      {what} <code>{id}</code>
      {/* Not in an insecure context: there is no clipboard then, and the id can be selected. */}
      {'clipboard' in navigator && (
        <button type="button" class="link" onClick={() => void copy().catch(() => undefined)}>
          {copied.value ? 'Copied' : 'Copy'}
        </button>
      )}
    </span>
  );
}
