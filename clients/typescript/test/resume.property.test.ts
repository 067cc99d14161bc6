/**
 * Any interleaving of events, cuts, late reading and trimming gives the client the log's suffix: each event once and in its
 * order, with a hole only where the server told of one.
 */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Client } from '../src/index.js';
import type { ResumeGap, ResumePoint } from '../src/index.js';
import { FakeGateway, type FakeSocket, settle } from './fakeGateway.js';

type Step =
  /** The agent says something, heard at once by whoever is connected. */
  | { readonly kind: 'event' }
  /** The server reads one command that waits. */
  | { readonly kind: 'read' }
  /** The line is cut; what was not read is gone. */
  | { readonly kind: 'cut' }
  /** Only the last few events stay to be had. */
  | { readonly kind: 'trim'; readonly keep: number }
  /** The record is lost: another stream begins. */
  | { readonly kind: 'rebuild' };

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Step>({ kind: 'event' }) },
  { weight: 5, arbitrary: fc.constant<Step>({ kind: 'read' }) },
  { weight: 3, arbitrary: fc.constant<Step>({ kind: 'cut' }) },
  { weight: 1, arbitrary: fc.nat(4).map((keep): Step => ({ kind: 'trim', keep })) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'rebuild' }) },
);

/** One thread on a server that is as slow in reading as the test wants. */
class Server {
  epoch = 1;
  tail = 0;
  /** The first event that is still to be had. */
  first = 1;
  /** What the server has read of the present connection. */
  #read = 0;
  #socket: FakeSocket | undefined;
  readonly #gateway: FakeGateway;

  constructor(gateway: FakeGateway) {
    this.#gateway = gateway;
  }

  event(): void {
    this.tail += 1;
    this.#say(this.tail);
  }

  /** Reads one command; false if none waits. */
  read(): boolean {
    const socket = this.#connected();
    const command = socket?.sent[this.#read];
    if (socket === undefined || command === undefined) return false;
    this.#read += 1;
    if (command.type === 'resume') for (const point of command.payload['threads'] as ResumePoint[]) this.#resume(socket, point);
    return true;
  }

  #resume(socket: FakeSocket, { epoch, after_seq: after }: ResumePoint): void {
    const present = `e${this.epoch}`;
    const fault = epoch !== present ? 'epoch_changed' : after > this.tail ? 'ahead' : after + 1 < this.first ? 'trimmed' : undefined;
    if (fault === undefined) {
      socket.say('resumed', { threads: [{ thread_id: 't1', epoch: present, from_seq: after + 1, to_seq: this.tail }] });
      for (let seq = after + 1; seq <= this.tail; seq += 1) this.#say(seq);
      return;
    }
    const kept = this.first <= this.tail ? { first_available_seq: this.first } : {};
    const gap: ResumeGap = { thread_id: 't1', epoch: present, last_seq: this.tail, reason: fault, ...kept };
    socket.say('resume_gap', gap);
  }

  #say(seq: number): void {
    this.#connected()?.event(seq, { epoch: `e${this.epoch}` });
  }

  #connected(): FakeSocket | undefined {
    const socket = this.#gateway.sockets.at(-1);
    if (socket !== this.#socket) [this.#socket, this.#read] = [socket, 0];
    return socket?.readyState === 1 ? socket : undefined;
  }
}

test('the client has the log’s suffix, whatever happens between', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 60 }), async (script) => {
      const gateway = new FakeGateway();
      const server = new Server(gateway);
      const client = new Client({ gateway: 'http://gate.test', token: () => 't', environment: gateway.environment() });
      const seen: { readonly epoch: string; readonly seq: number }[] = [];
      /** How many events had been seen when the server told of a gap. */
      const told = new Set<number>();
      let holes = 0;
      client.on('message', (message) => {
        if ('seq' in message) seen.push(message);
        if (message.type === 'resume_gap') told.add(seen.length);
      });
      client.on('gap', () => (holes += 1));
      client.connect();
      await settle();
      for (const step of script) {
        switch (step.kind) {
          case 'event':
            server.event();
            break;
          case 'read':
            server.read();
            break;
          case 'cut':
            gateway.socket.end(1006, '');
            await gateway.clock.advance(60_000);
            break;
          case 'trim':
            server.first = Math.max(server.first, server.tail + 1 - step.keep);
            break;
          case 'rebuild':
            gateway.socket.end(1012, 'DRAINING');
            server.epoch += 1;
            [server.tail, server.first] = [0, 1];
            await gateway.clock.advance(60_000);
        }
      }
      while (server.read());
      // One more event, so that a client without any place in the thread has one too.
      server.event();
      expect(holes, 'the server left no hole by itself').toBe(0);
      expect(seen.at(-1), 'the end is reached').toMatchObject({ epoch: `e${server.epoch}`, seq: server.tail });
      for (const [index, { epoch, seq }] of seen.entries()) {
        const before = seen[index - 1];
        if (before?.epoch === epoch && seq !== before.seq + 1) {
          expect(seq, 'in order, and once').toBeGreaterThan(before.seq);
          expect(told, `a hole before ${epoch}:${seq} that nobody told of`).toContain(index);
        }
      }
      client.close();
    }),
    { numRuns: 2_000 },
  );
});
