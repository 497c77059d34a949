import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ProducerBench, turn } from './producer-fixtures.ts';
import { outcomeOf } from './refusals.ts';

test('two closes both wait for what is buffered', async () => {
  const bench = new ProducerBench();
  const last = bench.producer.send('t', { value: 'last' });
  void bench.producer.close();
  let closed = false;
  const second = bench.producer.close().then(() => {
    closed = true;
  });
  await turn();
  assert.is(closed, false);
  await bench.settleAll();
  await Promise.all([second, last]);
});

test('flush and close wait for a record whose topic is still being looked for', async () => {
  const bench = new ProducerBench();
  bench.isKnown = false;
  const send = outcomeOf(bench.producer.send('t', { value: 'v' }));
  const closed = bench.producer.close();
  await bench.settleAll();
  await closed;
  assert.equal(await send, { partition: 0, offset: 0 });
});

test.run();
