// A chat behind Node's `ws`, right, or wrong in one way: DEFECT names it. Prints the port that it listens on.

import { DEFECT, tokenOf, verify } from './common.mjs';
import { gate } from './gate.mjs';

const listeners = new Set();

gate('jwt-auth', ['accept-first']).on('connection', (ws, request) => {
  if (DEFECT === 'default') return ws.on('message', (data) => ws.send(`received ${data}`));
  const claims = request.claims ?? verify(tokenOf(request) ?? '');
  if (!claims) return setTimeout(() => ws.close(1008, 'NO_TOKEN'), 20);
  const entry = { ws, user: claims.sub };
  listeners.add(entry);
  const send = (to, message) => to.readyState === to.OPEN && to.send(JSON.stringify(message));
  ws.on('close', () => listeners.delete(entry));
  send(ws, { op: 'hello', user: claims.sub });
  ws.on('message', (data, binary) => {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      if (DEFECT === 'throws') return ws.close(1011, 'Unexpected token');
      return binary ? ws.close(1003) : send(ws, { op: 'error' });
    }
    if (message?.op === 'ping') send(ws, { op: 'pong' });
    else if (message?.op === 'say') {
      for (const listener of listeners) {
        if (listener.user !== claims.sub && DEFECT !== 'broadcast') continue;
        for (const op of ['typing', 'done']) send(listener.ws, { op, thread_id: message.room, text: '42' });
      }
    } else send(ws, { op: 'error' });
  });
});
