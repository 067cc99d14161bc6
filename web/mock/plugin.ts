import type { Plugin } from 'vite';

/** Lets `npm run dev` work alone: the mock answers under the page's own origin. */
export function mockGateway(): Plugin {
  return {
    name: 'portcullis-mock-gateway',
    apply: (_config, { command, mode }) => command === 'serve' && mode === 'development',
    async configureServer(server) {
      // Loaded by the server and not imported above: a build needs nothing of the mock.
      const { MockGateway } = (await server.ssrLoadModule('/mock/gateway.ts')) as typeof import('./gateway.ts');
      const mock = new MockGateway();
      server.middlewares.use((request, response, next) => {
        if (!mock.handle(request, response)) next();
      });
      server.httpServer?.on('upgrade', (request, socket, head) => mock.upgrade(request, socket, head));
      server.config.logger.info('  mock gateway: sign in as ada, slow, drop, expired, busy or fail; the password "wrong" is wrong');
    },
  };
}
