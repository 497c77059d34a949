import { EventEmitter, once } from 'node:events';
import { MessageChannel, type TransferListItem } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Background } from '../../src/runtime/background.ts';
import { BrokerHandle } from '../../src/runtime/broker-handle.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { BrokerAddresses, BrokerThreadData } from '../../src/runtime/directory.ts';
import type { BrokerThread } from '../../src/runtime/surroundings.ts';
import { outcomeOf, refusal } from '../client/refusals.ts';

/** A thread that does nothing, and says what the test says. */
class SilentThread extends EventEmitter implements BrokerThread {
  postMessage(_message?: unknown, _transfer?: readonly TransferListItem[]): void {}

  terminate(): Promise<unknown> {
    this.emit('exit', 1);
    return Promise.resolve();
  }
}

/** Takes what a thread would take, and keeps it. */
class ListeningThread extends SilentThread {
  readonly heard: unknown[] = [];
  readonly #channel = new MessageChannel();

  override postMessage(message: unknown, transfer: readonly TransferListItem[] = []): void {
    this.#channel.port1.postMessage(message, transfer);
    this.heard.push(message);
  }

  close(): void {
    this.#channel.port1.close();
  }
}

function handleOf(thread: BrokerThread): BrokerHandle {
  return new BrokerHandle(thread, { id: 3 } as BrokerThreadData, 1, {
    clock: systemClock,
    owner: { failed: () => undefined, noticed: () => undefined },
    background: new Background(),
  });
}

test('a broker whose disk has failed while it started is offline, and not taken for one that runs', () => {
  const thread = new SilentThread();
  const handle = handleOf(thread);
  thread.emit('message', { notice: 'disk-failed', message: 'No room is left.' });
  assert.is(handle.state, 'starting');
  handle.ready();
  assert.is(handle.state, 'offline');
  assert.is(handle.error, 'No room is left.');
});

test('a broker whose disk is sound runs once it is ready', () => {
  const handle = handleOf(new SilentThread());
  handle.ready();
  assert.is(handle.state, 'running');
});

test('what a broker was asked that is fenced is refused at once, but for what it has to do in any case', async () => {
  const thread = new SilentThread();
  const handle = handleOf(thread);
  handle.ready();
  const limited = outcomeOf(handle.request({ type: 'metadata', offset: 1 }));
  const unlimited = handle.request({ type: 'heal', partition: 0 }, Number.POSITIVE_INFINITY);
  handle.fence('Broker 3 has given no sign of life for a while.');
  assert.ok(refusal('BROKER_FAILED', /no sign of life/)(await limited));
  // What it was asked first is answered late, and to nobody.
  thread.emit('message', { sequence: 1, value: 'late' });
  thread.emit('message', { sequence: 2, value: 'healed' });
  assert.is(await unlimited, 'healed');
});

test('a broker that is fenced because it is cut off goes on with what comes through all the same', async () => {
  const thread = new SilentThread();
  const handle = handleOf(thread);
  handle.ready();
  handle.messages.hold();
  const held = outcomeOf(handle.request({ type: 'admit', partition: 0, epoch: 0, follower: 2 }));
  const inspected = handle.request({ type: 'inspect', partition: 0, offset: 0, maxBytes: 1 });
  handle.fence('Broker 3 is cut off.');
  assert.ok(refusal('BROKER_FAILED', /cut off/)(await held));
  thread.emit('message', { sequence: 2, value: 'bytes' });
  assert.is(await inspected, 'bytes');
});

test('a port whose other end has ended meanwhile keeps nothing else from a broker that was cut off', async () => {
  const thread = new ListeningThread();
  const handle = handleOf(thread);
  handle.ready();
  handle.messages.hold();
  const { port1: port, port2: newcomers } = new MessageChannel();
  const addresses = { id: 4 } as BrokerAddresses;
  const welcomed = handle.request({ type: 'welcome', addresses, port }, Number.POSITIVE_INFINITY);
  const parted = handle.request({ type: 'part', broker: 4 }, Number.POSITIVE_INFINITY);
  port.ref();
  newcomers.close();
  await once(port, 'close');
  handle.messages.release();
  thread.emit('message', { sequence: 1, value: 'seen' });
  thread.emit('message', { sequence: 2, value: 'forgotten' });
  assert.is(await welcomed, 'seen');
  assert.is(await parted, 'forgotten');
  assert.equal(thread.heard, [
    { sequence: 1, request: { type: 'welcome', addresses, port: undefined } },
    { sequence: 2, request: { type: 'part', broker: 4 } },
  ]);
  thread.close();
});

test.run();
