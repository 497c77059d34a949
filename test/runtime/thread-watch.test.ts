import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { watchThreads } from '../../src/runtime/thread-watch.ts';

test('however many watch, a worker has one listener, and all of them are told of its end', async () => {
  const told: string[] = [];
  const before = process.listenerCount('worker');
  const stops = Array.from({ length: 12 }, (_, n) => watchThreads((id) => told.push(`${n}: ${id}`)));
  assert.is(process.listenerCount('worker'), before + 1);
  const worker = new Worker('', { eval: true });
  const { threadId } = worker;
  await once(worker, 'online');
  assert.ok(worker.listenerCount('exit') < 5, `${worker.listenerCount('exit')} listeners`);
  stops[0]();
  await once(worker, 'exit');
  assert.equal(
    told,
    Array.from({ length: 11 }, (_, n) => `${n + 1}: ${threadId}`),
  );
  for (const stop of stops) stop();
  assert.is(process.listenerCount('worker'), before);
});

test.run();
