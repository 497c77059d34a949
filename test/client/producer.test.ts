import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { partitionOfKey } from '../../src/client/partitioner.ts';
import type { ProducerOptions } from '../../src/client/producer.ts';
import { TidemarkError } from '../../src/errors.ts';
import type { RecordInput } from '../../src/types.ts';
import { ProducerBench, sleep, turn, valuesOf } from './producer-fixtures.ts';
import { assertRefused, outcomeOf, refusal } from './refusals.ts';

const refused = () => new TidemarkError('CORRUPT_MESSAGE', 'The broker refused the batch.');
const numbered = (count: number, size = 0): RecordInput[] =>
  Array.from({ length: count }, (_, n) => ({ value: `${n}`.padEnd(size, '.') }));

test('records of one turn share a batch, and more wait until it is answered', async () => {
  const bench = new ProducerBench();
  const first = ['a', 'b', 'c'].map((value) => bench.producer.send('t', { value }));
  assert.is(bench.sent.length, 0);
  await turn();
  const later = ['d', 'e'].map((value) => bench.producer.send('t', { value }));
  await turn();
  assert.equal(
    bench.sent.map(({ values }) => values),
    [['a', 'b', 'c']],
  );
  bench.settle(7);
  assert.equal(
    await Promise.all(first),
    [7, 8, 9].map((offset) => ({ partition: 0, offset })),
  );
  await turn();
  assert.equal(
    bench.sent.map(({ values }) => values),
    [['d', 'e']],
  );
  bench.settle(10);
  assert.equal(
    await Promise.all(later),
    [10, 11].map((offset) => ({ partition: 0, offset })),
  );
});

test('a batch with no room for another record within batchBytes is sent at once, also behind others', async () => {
  const bench = new ProducerBench({ batchBytes: 400 });
  for (const record of numbered(10, 100)) void bench.producer.send('t', record);
  await turn();
  assert.is(bench.sent.length, 3);
  const settled = await bench.settleAll();
  assert.equal(
    settled.map(({ values }) => values.length),
    [3, 3, 3, 1],
  );
});

test('no batch is larger than max.message.bytes', async () => {
  const bench = new ProducerBench({ config: { 'max.message.bytes': 500 } });
  const places = bench.producer.sendBatch('t', numbered(40, 100));
  const settled = await bench.settleAll();
  assert.is((await places).length, 40);
  assert.ok(settled.length >= 10);
  for (const { bytes } of settled) assert.ok(bytes <= 500);
});

test('with acks 0 nobody tells the offset, which is -1', async () => {
  const bench = new ProducerBench({ acks: 0, partitions: 2 });
  bench.answers.set(1, (batch) => {
    assert.is(batch.acks, 0);
    batch.settle(-1);
  });
  assert.equal(await bench.producer.send('t', { value: 'v' }), { partition: 0, offset: -1 });
  const places = await bench.producer.sendBatch('t', [{ value: 'a' }, { value: 'b' }]);
  assert.equal(new Set(places.map(({ offset }) => offset)), new Set([-1]));
});

test('acks go onto the wire as Kafka writes them', async () => {
  for (const [acks, wire] of [
    [0, 0],
    [1, 1],
    ['all', -1],
    [undefined, -1],
  ] as const) {
    const bench = new ProducerBench({ acks });
    let seen: number | undefined;
    bench.answers.set(1, (batch) => {
      seen = batch.acks;
      batch.settle(0);
    });
    await bench.producer.send('t', { value: 'v' });
    assert.is(seen, wire);
  }
});

test('keyed records go by their key, others stick to a partition until its batch is sent', async () => {
  const bench = new ProducerBench({ partitions: 3 });
  const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
  const keyed = keys.map((key) => bench.producer.send('t', { key, value: key }));
  await bench.settleAll();
  for (const [n, { partition }] of (await Promise.all(keyed)).entries()) {
    assert.is(partition, partitionOfKey(keys[n], 3), keys[n]);
  }
  const visited = new Set<number>();
  for (let n = 0; n < 9; n++) {
    const sends = numbered(3).map((record) => bench.producer.send('t', record));
    await bench.settleAll();
    const partitions = new Set((await Promise.all(sends)).map(({ partition }) => partition));
    assert.is(partitions.size, 1, 'one batch, one partition');
    for (const partition of partitions) visited.add(partition);
  }
  assert.is(visited.size, 3, 'all partitions have their turn');
});

test('every record of a call finds its place, whatever batches and partitions the call goes to', async () => {
  const bench = new ProducerBench({ partitions: 4, brokers: 2, batchBytes: 400 });
  const records = Array.from({ length: 200 }, (_, n) => ({
    key: n % 3 === 0 ? null : `key ${n % 7}`,
    value: `value ${n}`,
  }));
  const call = bench.producer.sendBatch('t', records);
  const written = new Map<string, string>();
  const ends = new Map<number, number>();
  for (const batch of await bench.settleAll()) {
    const base = ends.get(batch.partition) ?? 0;
    ends.set(batch.partition, base + batch.values.length);
    for (const [n, value] of batch.values.entries()) written.set(`${batch.partition} ${base + n}`, value);
  }
  const places = await call;
  assert.is(places.length, 200);
  for (const [n, { partition, offset }] of places.entries()) {
    assert.is(written.get(`${partition} ${offset}`), `value ${n}`);
  }
});

test('a record that cannot be written refuses the whole call, and nothing of it is sent', async () => {
  const bench = new ProducerBench();
  const records = [{ value: 'good' }, { value: 5 as unknown as string }, { value: 'good' }];
  await assertRefused(bench.producer.sendBatch('t', records), 'INVALID_RECORD');
  await assertRefused(bench.producer.send('t', { value: 'x'.repeat(3_000_000) }), 'MESSAGE_TOO_LARGE');
  for (const wrong of [undefined, null, 'records', { length: 1 }]) {
    await assertRefused(
      bench.producer.sendBatch('t', wrong as never),
      'INVALID_ARGUMENT',
      /an array of records/,
    );
  }
  await turn();
  assert.is(bench.sent.length, 0);
  assert.is(bench.producer.bufferedBytes, 0);
  assert.equal(await bench.producer.sendBatch('t', []), []);
});

test('a topic that does not exist is refused', async () => {
  const { producer } = new ProducerBench();
  await assertRefused(producer.send('nope', { value: 'v' }), 'UNKNOWN_TOPIC_OR_PARTITION');
  await assertRefused(producer.sendBatch('nope', [{ value: 'v' }]), 'UNKNOWN_TOPIC_OR_PARTITION');
});

test('a batch that the broker refuses fails its records and no others', async () => {
  const bench = new ProducerBench({ batchBytes: 300 });
  const sends = numbered(4, 100).map((record) => bench.producer.send('t', record));
  await turn();
  assert.is(bench.sent.length, 2);
  bench.sent.shift()?.fail(refused());
  bench.settle(0);
  for (const send of sends.slice(0, 2)) await assertRefused(send, 'CORRUPT_MESSAGE');
  assert.equal(
    await Promise.all(sends.slice(2)),
    [0, 1].map((offset) => ({ partition: 0, offset })),
  );
  assert.is(bench.producer.bufferedBytes, 0);
});

test('a call is refused when one of its batches is, whatever happens to the others', async () => {
  const bench = new ProducerBench({ batchBytes: 300 });
  const call = bench.producer.sendBatch('t', numbered(6, 100));
  await turn();
  assert.is(bench.sent.length, 3);
  bench.settle(0);
  bench.sent.shift()?.fail(refused());
  await assertRefused(call, 'CORRUPT_MESSAGE');
  bench.settle(2);
  assert.is(bench.producer.bufferedBytes, 0);
});

test('a leader that does not run fails the send once its time is up', async () => {
  const bench = new ProducerBench({ isRunning: false, deliveryTimeoutMs: 20 });
  const one = outcomeOf(bench.producer.send('t', { value: 'v' }));
  const call = outcomeOf(bench.producer.sendBatch('t', [{ value: 'v' }]));
  await sleep(40);
  bench.tick();
  assert.ok(refusal('BROKER_FAILED', /in 20 ms.*Broker 1.* is not running.*Nothing was written/)(await one));
  assert.ok(refusal('BROKER_FAILED')(await call));
  assert.is(bench.producer.bufferedBytes, 0);
});

test('sends beyond the buffer wait for room, in order, and the bound holds', async () => {
  const bench = new ProducerBench({ bufferBytes: 1_000, batchBytes: 250 });
  const sends = numbered(60, 100).map((record) => bench.producer.send('t', record));
  const seen: string[] = [];
  for (let base = 0; seen.length < 60; ) {
    await turn();
    assert.ok(bench.producer.bufferedBytes < 1_000 + 150, `${bench.producer.bufferedBytes} bytes`);
    const { values } = bench.sent[0];
    seen.push(...values);
    bench.settle(base);
    base += values.length;
  }
  assert.equal(
    seen.map((value) => Number.parseInt(value, 10)),
    Array.from({ length: 60 }, (_, n) => n),
  );
  assert.equal(
    (await Promise.all(sends)).map(({ offset }) => offset),
    Array.from({ length: 60 }, (_, n) => n),
  );
  assert.is(bench.producer.bufferedBytes, 0);
});

test('a call larger than the whole buffer gets through, piece by piece', async () => {
  const bench = new ProducerBench({ bufferBytes: 500, batchBytes: 200 });
  const call = bench.producer.sendBatch('t', numbered(50, 100));
  const after = bench.producer.send('t', { value: 'after' });
  await turn();
  assert.ok(bench.producer.bufferedBytes < 700);
  const settled = await bench.settleAll();
  assert.equal(
    settled.flatMap(({ values }) => values).map((value) => Number.parseInt(value, 10)),
    [...Array.from({ length: 50 }, (_, n) => n), NaN],
  );
  assert.equal(
    (await call).map(({ offset }) => offset),
    Array.from({ length: 50 }, (_, n) => n),
  );
  assert.equal(await after, { partition: 0, offset: 50 });
});

test('a send that waited longer than maxBlockMs for room is refused, and the others go on', async () => {
  const bench = new ProducerBench({ bufferBytes: 1, maxBlockMs: 20 });
  const first = bench.producer.send('t', { value: 'first' });
  const late = bench.producer.send('t', { value: 'late' });
  const lateCall = bench.producer.sendBatch('t', [{ value: 'late too' }]);
  bench.tick();
  await sleep(40);
  bench.tick();
  await assertRefused(late, 'BUFFER_EXHAUSTED', /No room came free .* of 1 bytes for 20 ms/);
  await assertRefused(lateCall, 'BUFFER_EXHAUSTED');
  const next = bench.producer.send('t', { value: 'next' });
  assert.equal(
    (await bench.settleAll()).flatMap(({ values }) => values),
    ['first', 'next'],
  );
  assert.equal(
    await Promise.all([first, next]),
    [0, 1].map((offset) => ({ partition: 0, offset })),
  );
});

test('the line of sends that wait is bounded too', async () => {
  const bench = new ProducerBench({ bufferBytes: 1 });
  const first = bench.producer.send('t', { value: 'first' });
  const line: Promise<unknown>[] = [];
  for (let n = 0; n < 100_000; n++) line.push(bench.producer.send('t', { value: 'x' }));
  await assertRefused(bench.producer.send('t', { value: 'x' }), 'BUFFER_EXHAUSTED', /100000 records wait/);
  await assertRefused(bench.producer.sendBatch('t', [{ value: 'x' }]), 'BUFFER_EXHAUSTED');
  bench.settle(0);
  await turn();
  bench.settle(0);
  await first;
});

test('flush waits for all that was sent before, also for what waits for room, and for failures', async () => {
  const bench = new ProducerBench({ bufferBytes: 200, batchBytes: 100 });
  await bench.producer.flush();
  const sends = numbered(8, 90).map((record) => bench.producer.send('t', record));
  const outcomes = sends.map(outcomeOf);
  let flushed = false;
  const flush = bench.producer.flush().then(() => {
    flushed = true;
  });
  for (let base = 0; base < 8; base++) {
    await turn();
    assert.is(flushed, false, `after ${base}`);
    if (base === 3) bench.sent.shift()?.fail(refused());
    else bench.settle(base);
  }
  await flush;
  assert.is((await Promise.all(outcomes)).filter((each) => refusal('CORRUPT_MESSAGE')(each)).length, 1);
});

test('flush sends what waits behind a batch under way', async () => {
  const bench = new ProducerBench();
  const first = bench.producer.send('t', { value: 'first' });
  await turn();
  const second = bench.producer.send('t', { value: 'second' });
  await turn();
  assert.is(bench.sent.length, 1);
  const flush = bench.producer.flush();
  assert.is(bench.sent.length, 2);
  bench.settle(0);
  bench.settle(1);
  await flush;
  assert.equal(
    await Promise.all([first, second]),
    [0, 1].map((offset) => ({ partition: 0, offset })),
  );
});

test('close sends what is buffered, takes no more, and lets go of the session', async () => {
  const bench = new ProducerBench();
  const last = bench.producer.send('t', { value: 'last' });
  const closed = bench.producer.close();
  await assertRefused(bench.producer.send('t', { value: 'late' }), 'CLOSED', /producer is closed/);
  await assertRefused(bench.producer.sendBatch('t', [{ value: 'late' }]), 'CLOSED');
  await bench.settleAll();
  await closed;
  assert.equal(await last, { partition: 0, offset: 0 });
  assert.is(bench.listeners, 0);
  await assertRefused(bench.producer.send('t', { value: 'later' }), 'CLOSED');
  await bench.producer.close();
  await bench.producer.flush();
});

test('a producer of a cluster that is closed refuses', async () => {
  const bench = new ProducerBench();
  bench.isOpen = false;
  await assertRefused(bench.producer.send('t', { value: 'v' }), 'CLOSED', /cluster is closed/);
});

test('bad options are refused', () => {
  const wrong: Record<string, unknown[]> = {
    acks: [2, -1, '1', 'ALL', true],
    batchBytes: [0, -1, 1.5, '1', 1 << 30, NaN],
    bufferBytes: [0, -1, 1.5, '1', NaN],
    maxBlockMs: [-1, 1.5, '1', NaN, Infinity],
    deliveryTimeoutMs: [0, -1, 1.5, '1', NaN, Infinity, 3_600_001],
    requestTimeoutMs: [0, -1, 1.5, '1', NaN, 2 ** 31],
    idempotent: [0, 1, 'yes'],
  };
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      assert.throws(
        () => new ProducerBench({ [name]: value } as ProducerOptions),
        refusal('INVALID_ARGUMENT', new RegExp(`^${name} must be`)),
        `${name} ${String(value)}`,
      );
    }
  }
});

test('LESSONS 35: nothing is kept of records that are settled', async () => {
  const bench = new ProducerBench({ batchBytes: 1_000 });
  let base = 0;
  bench.answers.set(1, (batch) => {
    const { length } = valuesOf(batch);
    queueMicrotask(() => {
      batch.settle(base);
      base += length;
    });
  });
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 300; n++) await bench.producer.sendBatch('t', numbered(100, 200));
  assert.is(base, 30_000);
  assert.is(bench.producer.bufferedBytes, 0);
  assert.ok(process.memoryUsage().heapUsed - before < 64 << 20);
});

test('a call without records is answered at once, also while others wait for room', async () => {
  const bench = new ProducerBench({ bufferBytes: 200, batchBytes: 100 });
  const waiting = Array.from({ length: 5 }, () => bench.producer.send('t', { value: 'v'.repeat(100) }));
  assert.equal(await bench.producer.sendBatch('t', []), []);
  assert.equal(await bench.producer.sendBatch('unheard of', []), []);
  await bench.settleAll();
  assert.is((await Promise.all(waiting)).length, 5);
});

test.run();
