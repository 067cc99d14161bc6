/** Another origin that shows the gateway's page: what a proxy does that passes everything on but rewrites `Host`. */

import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Listens on a port of its own and hands every request, upgrades too, to `gateway` under the gateway's own name. */
export async function foreignOrigin(gateway: string): Promise<{ readonly origin: string; close(): Promise<void> }> {
  const { hostname, port, host } = new URL(gateway);
  const server: Server = createServer((incoming, outgoing) => {
    const onward = request({ hostname, port, path: incoming.url, method: incoming.method, headers: { ...incoming.headers, host } }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.on('upgrade', (incoming, socket) => {
    const onward = request({ hostname, port, path: incoming.url, headers: { ...incoming.headers, host } });
    const passOn = (status: number | undefined, message: string | undefined, headers: string[]) => {
      const lines = headers.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${headers[index + 1] ?? ''}`] : []));
      socket.write(`HTTP/1.1 ${status ?? 502} ${message ?? ''}\r\n${lines.join('\r\n')}\r\n\r\n`);
    };
    onward.on('response', (answer) => {
      passOn(answer.statusCode, answer.statusMessage, answer.rawHeaders);
      answer.pipe(socket);
    });
    onward.on('upgrade', (answer, upstream) => {
      passOn(answer.statusCode, answer.statusMessage, answer.rawHeaders);
      upstream.pipe(socket).pipe(upstream);
      for (const end of [upstream, socket]) end.on('error', () => undefined);
    });
    onward.on('error', () => socket.destroy());
    onward.end();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}
