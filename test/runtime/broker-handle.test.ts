import { EventEmitter } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Background } from '../../src/runtime/background.ts';
import { BrokerHandle } from '../../src/runtime/broker-handle.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { BrokerThreadData } from '../../src/runtime/directory.ts';
import type { BrokerThread } from '../../src/runtime/surroundings.ts';

/** A thread that does nothing, and says what the test says. */
class SilentThread extends EventEmitter implements BrokerThread {
  postMessage(): void {}

  terminate(): Promise<unknown> {
    this.emit('exit', 1);
    return Promise.resolve();
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

test.run();
