// Socket.IO, right, or wrong in one way: DEFECT names it. Prints the port that it listens on.

import { createServer } from 'node:http';

import { Server } from 'socket.io';

import { DEFECT, originAllowed, tokenOf, verify } from './common.mjs';

const late = DEFECT === 'middleware-only' || DEFECT === 'default';

const server = createServer({ connectionsCheckingInterval: 500 });
server.headersTimeout = 2000;
server.requestTimeout = 2000;
const io = new Server(server, {
  maxHttpBufferSize: 64 * 1024,
  pingInterval: 1000,
  pingTimeout: 1000,
  transports: ['websocket'],
  // The middleware of io.use() runs after the 101; this runs before it.
  allowRequest: late
    ? undefined
    : (request, callback) => {
        // What the library lets through: version 8, and two hosts.
        const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
        if (request.headers['sec-websocket-version'] !== '13' || hosts.length !== 1) return callback('BAD_UPGRADE', false);
        // It selects the first subprotocol of any list, be it a token: so none is read here, and none is offered.
        if (DEFECT !== 'echo' && request.headers['sec-websocket-protocol']) return callback('NO_COMMON_SUBPROTOCOL', false);
        if (!originAllowed(request)) return callback('ORIGIN_NOT_ALLOWED', false);
        if (DEFECT === 'test-header' && request.headers['x-test-mode']) return callback(null, true);
        const claims = verify(tokenOf(request) ?? '');
        request.claims = claims;
        callback(claims ? null : 'NO_TOKEN', claims !== null);
      },
});

io.use((socket, next) => {
  if (DEFECT === 'default') return next();
  socket.data.claims = socket.request.claims ?? verify(tokenOf(socket.request) ?? '') ?? (late ? null : { sub: 'e2e' });
  next(socket.data.claims ? undefined : new Error('NO_TOKEN'));
});

io.on('connection', (socket) => {
  const exp = socket.data.claims?.exp;
  const end =
    exp === undefined || DEFECT === 'outlives-token'
      ? undefined
      : setTimeout(() => socket.disconnect(true), Math.min(exp * 1000 - Date.now(), 2 ** 31 - 1));
  socket.on('disconnect', () => clearTimeout(end));
  socket.on('ping', () => socket.emit('pong'));
  const user = `user ${socket.data.claims?.sub}`;
  socket.join(user);
  socket.on('say', ({ room }) => {
    const to = DEFECT === 'broadcast' ? io : io.to(user);
    for (const event of DEFECT === 'done-first' ? ['done', 'typing'] : ['typing', 'done']) to.emit(event, { room, text: '42' });
  });
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
