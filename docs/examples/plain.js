// Without any library: the form in which the token travels, and what comes back.

// A JWT is ASCII, so btoa takes it. No `+`, `/` or `=` may stand in a subprotocol's name, hence base64url without padding.
const base64url = (text) => btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');

export function chat(gateway, token, { onText, onEnd, onRefused }) {
  const protocols = ['jwt-auth', `jwt.${base64url(token)}`];
  const socket = new WebSocket(new URL('/ws', gateway.replace(/^http/, 'ws')), protocols);
  let open = false;

  socket.onmessage = ({ data }) => {
    const { type, payload } = JSON.parse(data);
    // The first message on every connection. Before it, an open socket proves nothing.
    if (type === 'connection_established') open = true;
    if (type === 'partial_result') onText(payload.delta);
    if (type === 'agent_completed') onEnd(payload.final_response);
    if (type === 'agent_failed') onEnd(payload.error.message);
  };

  socket.onclose = async ({ code, reason }) => {
    if (open) {
      // The text starts with the reason's name: `TOKEN_EXPIRED: The token has expired`.
      onRefused({ reason: reason.split(':')[0] || `closed with ${code}` });
      return;
    }
    // A refused handshake is 1006 to a browser, whatever the server said: ask the preflight for the same decision.
    const answer = await fetch(new URL('/ws/preflight', gateway), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ mode: 'main', protocols }),
    });
    const decision = await answer.json();
    onRefused(decision.accepted ? { reason: 'something between here and the gateway blocks WebSockets' } : decision);
  };

  // The id makes sending again harmless: the same one is not run twice.
  return (question) =>
    socket.send(JSON.stringify({ type: 'user_message', id: crypto.randomUUID(), payload: { content: question } }));
}
