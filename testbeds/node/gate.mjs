// The door of the beds on `ws`: who comes in is known before `handleUpgrade`, unless DEFECT says otherwise.

import { createServer } from 'node:http';

import { WebSocketServer } from 'ws';

import { DEFECT, offeredBy, originAllowed, tokenOf, verify } from './common.mjs';

function refuse(socket, status, reason, error) {
  if (DEFECT === 'dropped') return socket.destroy();
  const body = JSON.stringify({ reason });
  const challenge = status === 401 ? `WWW-Authenticate: Bearer realm="bed"${error ? `, error="${error}"` : ''}\r\n` : '';
  socket.end(
    `HTTP/1.1 ${status} Refused\r\n${DEFECT === 'no-challenge' ? '' : challenge}Content-Type: application/json\r\n` +
      `Cache-Control: no-store\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}

/**
 * A server of WebSockets whose clients offer `name`. Who comes in is handed to the event `connection`, with `claims` in the
 * request. `late` are defects that let everybody in and leave the rest to that event.
 */
export function gate(name, late) {
  const wss = new WebSocketServer({
    noServer: true,
    maxPayload: 64 * 1024,
    handleProtocols: (offered) => {
      if (DEFECT === 'echo') return [...offered].at(-1);
      if (DEFECT === 'no-subprotocol') return false;
      return offered.has(name) ? name : false;
    },
  });

  function letIn(request, socket, head, claims) {
    request.claims = claims;
    wss.handleUpgrade(request, socket, head, (ws) => {
      ws.on('error', () => {});
      if (claims && DEFECT !== 'outlives-token') {
        const left = Math.min(claims.exp * 1000 - Date.now(), 2 ** 31 - 1);
        const end = setTimeout(() => ws.close(1008, 'TOKEN_EXPIRED'), left);
        ws.on('close', () => clearTimeout(end));
      }
      wss.emit('connection', ws, request);
    });
  }

  function upgrade(request, socket, head) {
    if (DEFECT === 'default') return letIn(request, socket, head);
    if (request.url.split('?')[0] !== '/ws') return refuse(socket, 404, 'UNKNOWN_MODE');
    // Node takes the first of two and says nothing.
    if (request.rawHeaders.filter((field, index) => index % 2 === 0 && field.toLowerCase() === 'host').length !== 1) {
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
    if (late.includes(DEFECT)) return letIn(request, socket, head);
    if (!originAllowed(request)) return refuse(socket, 403, 'ORIGIN_NOT_ALLOWED');
    if (DEFECT === 'test-header' && request.headers['x-test-mode']) {
      return letIn(request, socket, head, { sub: 'e2e', exp: Date.now() });
    }
    const token = tokenOf(request);
    if (token === null) return refuse(socket, 401, 'NO_TOKEN');
    const claims = verify(token);
    if (!claims) return refuse(socket, 401, 'TOKEN_INVALID', 'invalid_token');
    const offered = offeredBy(request);
    if (offered.length > 0 && !offered.includes(name)) return refuse(socket, 400, 'NO_COMMON_SUBPROTOCOL');
    letIn(request, socket, head, claims);
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
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  return wss;
}
