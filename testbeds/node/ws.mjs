// A chat behind Node's `ws`, right, or wrong in one way: DEFECT names it. Prints the port that it listens on.

import { createServer } from 'node:http';

import { WebSocketServer } from 'ws';

import { DEFECT, offeredBy, originAllowed, tokenOf, verify } from './common.mjs';

const listeners = new Set();

const wss = new WebSocketServer({
  noServer: true,
  maxPayload: 64 * 1024,
  handleProtocols: (offered) => {
    if (DEFECT === 'echo') return [...offered].at(-1);
    if (DEFECT === 'no-subprotocol') return false;
    return offered.has('jwt-auth') ? 'jwt-auth' : false;
  },
});

function refuse(socket, status, reason, error) {
  if (DEFECT === 'dropped') return socket.destroy();
  const body = JSON.stringify({ reason });
  const challenge = status === 401 ? `WWW-Authenticate: Bearer realm="bed"${error ? `, error="${error}"` : ''}\r\n` : '';
  socket.end(
    `HTTP/1.1 ${status} Refused\r\n${DEFECT === 'no-challenge' ? '' : challenge}Content-Type: application/json\r\n` +
      `Cache-Control: no-store\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}

const server = createServer({ connectionsCheckingInterval: 500 }, (request, response) => response.writeHead(426, { Upgrade: 'websocket' }).end());
server.headersTimeout = 2000;
server.requestTimeout = 2000;

// An exception out of here would end the process: the careless bed makes a 500 of it, as frameworks do.
server.on('upgrade', (request, socket, head) => {
  socket.on('error', () => socket.destroy());
  try {
    upgrade(request, socket, head);
  } catch {
    refuse(socket, 500, 'INTERNAL');
  }
});

function upgrade(request, socket, head) {
  if (DEFECT === 'default') {
    return wss.handleUpgrade(request, socket, head, (ws) => ws.on('message', (data) => ws.send(`received ${data}`)));
  }
  if (request.url.split('?')[0] !== '/ws') return refuse(socket, 404, 'UNKNOWN_MODE');
  // Node takes the first of two and says nothing.
  if (request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length !== 1) {
    return refuse(socket, 400, 'BAD_UPGRADE');
  }
  if (request.method !== 'GET') {
    return socket.end('HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  }
  if (request.headers['sec-websocket-version'] !== '13') {
    return socket.end(
      'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
    );
  }
  if (DEFECT === 'accept-first') {
    return wss.handleUpgrade(request, socket, head, (ws) => {
      const claims = verify(tokenOf(request) ?? '');
      if (claims) serve(ws, claims);
      else setTimeout(() => ws.close(1008, 'NO_TOKEN'), 20);
    });
  }
  if (!originAllowed(request)) return refuse(socket, 403, 'ORIGIN_NOT_ALLOWED');
  if (DEFECT === 'test-header' && request.headers['x-test-mode']) {
    return wss.handleUpgrade(request, socket, head, (ws) => serve(ws, { sub: 'e2e', exp: Date.now() }));
  }
  const token = tokenOf(request);
  if (token === null) return refuse(socket, 401, 'NO_TOKEN');
  const claims = verify(token);
  if (!claims) return refuse(socket, 401, 'TOKEN_INVALID', 'invalid_token');
  const offered = offeredBy(request);
  if (offered.length > 0 && !offered.includes('jwt-auth')) return refuse(socket, 400, 'NO_COMMON_SUBPROTOCOL');
  wss.handleUpgrade(request, socket, head, (ws) => serve(ws, claims));
}

function serve(ws, claims) {
  const entry = { ws, user: claims.sub };
  listeners.add(entry);
  const send = (to, message) => to.readyState === to.OPEN && to.send(JSON.stringify(message));
  const left = Math.min(claims.exp * 1000 - Date.now(), 2 ** 31 - 1);
  const end = DEFECT === 'outlives-token' ? undefined : setTimeout(() => ws.close(1008, 'TOKEN_EXPIRED'), left);
  ws.on('close', () => {
    clearTimeout(end);
    listeners.delete(entry);
  });
  ws.on('error', () => {});
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
}

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
