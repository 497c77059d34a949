// What a producer does with batches that are refused, or of which nobody knows what has become. The test plays the brokers.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, TidemarkError } from '../../src/errors.ts';
import type { RecordInput } from '../../src/types.ts';
import { type BenchOptions, ProducerBench, type SentBatch, sleep, turn } from './producer-fixtures.ts';
import { assertRefused, outcomeOf, refusal } from './refusals.ts';

const failure = (code: ErrorCode): TidemarkError => new TidemarkError(code, `It was ${code}.`);

const numbered = (count: number, from = 0): RecordInput[] =>
  Array.from({ length: count }, (_, n) => ({ value: `${from + n}`.padEnd(100, '.') }));

const namesOf = (batches: readonly SentBatch[]): number[] =>
  batches.map(({ values }) => Number.parseInt(values[0], 10));

/** One record a batch. */
async function benchWith(records: number, options: BenchOptions = {}) {
  const bench = new ProducerBench({ batchBytes: 150, brokers: 1, ...options });
  const sends = numbered(records).map((record) => outcomeOf(bench.producer.send('t', record)));
  await turn();
  return { bench, sends };
}

function take(bench: ProducerBench): SentBatch {
  const batch = bench.sent.shift();
  if (batch === undefined) throw new Error('nothing was sent');
  return batch;
}

const passing = [
  'NOT_LEADER_OR_FOLLOWER',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'BROKER_FAILED',
  'LEADER_NOT_AVAILABLE',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'REQUEST_TIMED_OUT',
  'KAFKA_STORAGE_ERROR',
  'UNKNOWN_TOPIC_OR_PARTITION',
] as const;

for (const code of passing) {
  for (const options of [{}, { idempotent: false }, { acks: 1 }] as const) {
    test(`${code} is nothing that a caller hears of: ${JSON.stringify(options)}`, async () => {
      const { bench, sends } = await benchWith(1, options);
      const first = take(bench);
      first.fail(failure(code));
      await sleep(40);
      const second = take(bench);
      assert.equal(second.values, first.values);
      assert.equal(second.producer, first.producer);
      second.settle(7);
      assert.equal(await sends[0], { partition: 0, offset: 7 });
      assert.is(bench.producer.bufferedBytes, 0);
    });
  }
}

for (const code of ['CORRUPT_MESSAGE', 'MESSAGE_TOO_LARGE', 'INVALID_RECORD'] as const) {
  test(`${code} is told at once, and no other record suffers from it`, async () => {
    const { bench, sends } = await benchWith(3);
    assert.equal(namesOf(bench.sent), [0, 1, 2]);
    take(bench).fail(failure(code));
    for (const batch of bench.sent.splice(0)) batch.fail(failure('OUT_OF_ORDER_SEQUENCE_NUMBER'));
    assert.ok(refusal(code, /Nothing was written/)(await sends[0]));
    await turn();
    assert.equal(namesOf(bench.sent), [1, 2]);
    assert.equal(
      bench.sent.map(({ producer }) => [producer.epoch, producer.sequence]),
      [
        [1, 0],
        [1, 1],
      ],
    );
    take(bench).settle(0);
    take(bench).settle(1);
    assert.equal(await Promise.all(sends.slice(1)), [
      { partition: 0, offset: 0 },
      { partition: 0, offset: 1 },
    ]);
  });
}

test('no more than twenty batches of a partition are in flight, and sequences count records', async () => {
  const { bench } = await benchWith(50);
  assert.equal(
    namesOf(bench.sent),
    Array.from({ length: 20 }, (_, n) => n),
  );
  const settled = await bench.settleAll();
  assert.equal(
    settled.map(({ producer }) => producer.sequence),
    Array.from({ length: 50 }, (_, n) => n),
  );
});

test('a new leader gets what the old one was sent, at once, in its order and with its numbers', async () => {
  const { bench, sends } = await benchWith(22);
  bench.settle(0);
  const before = bench.sent.splice(0, 2);
  before[1].fail(failure('NOT_LEADER_OR_FOLLOWER'));
  before[0].fail(failure('NOT_LEADER_OR_FOLLOWER'));
  // The rest hangs in the channel of the old leader, which never answers.
  bench.announce(0, { leader: 2, epoch: 1 });
  const again = Array.from({ length: 20 }, (_, n) => 1 + n);
  assert.equal(namesOf(bench.sent), again);
  assert.ok(bench.sent.every(({ broker, epoch }) => broker === 2 && epoch === 1));
  assert.equal(
    bench.sent.map(({ producer }) => producer.sequence),
    again,
  );
  for (let offset = 1; offset < 22; offset++) take(bench).settle(offset);
  assert.equal(
    await Promise.all(sends),
    Array.from({ length: 22 }, (_, offset) => ({ partition: 0, offset })),
  );
});

test('without numbers the old leader is heard before anything is sent to the new one', async () => {
  const { bench, sends } = await benchWith(3, { idempotent: false });
  const [first, second, third] = bench.sent.splice(0);
  bench.announce(0, { leader: 2, epoch: 1 });
  second.settle(5);
  assert.is(bench.sent.length, 0);
  first.fail(failure('NOT_LEADER_OR_FOLLOWER'));
  assert.is(bench.sent.length, 0);
  third.fail(failure('NOT_LEADER_OR_FOLLOWER'));
  assert.equal(namesOf(bench.sent), [0, 2]);
  take(bench).settle(6);
  take(bench).settle(7);
  assert.equal(
    await Promise.all(sends),
    [6, 5, 7].map((offset) => ({ partition: 0, offset })),
  );
});

test('whoever waits for a leader hears of it rather than asking again and again', async () => {
  const { bench, sends } = await benchWith(1, { isRunning: false });
  await sleep(30);
  assert.is(bench.sent.length, 0);
  bench.start(1);
  await turn();
  take(bench).fail(failure('NOT_LEADER_OR_FOLLOWER'));
  bench.announce(0, { leader: -1, epoch: 1, unavailable: 'Nobody leads it.' });
  assert.is(bench.sent.length, 0);
  bench.announce(0, { leader: 1, epoch: 2, unavailable: undefined });
  assert.is(bench.sent[0].epoch, 2);
  await bench.settleAll();
  assert.equal(await sends[0], { partition: 0, offset: 0 });
});

test('a replica that comes back into the ISR lets refused records go on', async () => {
  const { bench } = await benchWith(1, { config: { 'min.insync.replicas': 1 } });
  // So many failures that the next try would be about a second away.
  for (let tries = 0; tries < 6; tries++) {
    take(bench).fail(failure('NOT_ENOUGH_REPLICAS'));
    bench.announce(0, { isr: tries % 2 === 0 ? [1, 2] : [1] });
  }
  assert.is(bench.sent.length, 1);
  await bench.settleAll();
});

test('what the topic can never take is told at once', async () => {
  const { bench, sends } = await benchWith(1, { config: { 'min.insync.replicas': 3 } });
  take(bench).fail(failure('NOT_ENOUGH_REPLICAS'));
  assert.ok(refusal('NOT_ENOUGH_REPLICAS', /can never be kept.*Nothing was written/)(await sends[0]));
});

test('LESSONS 18: tries back off, further each time', async () => {
  const { bench } = await benchWith(1);
  const timesMs: number[] = [];
  for (let tries = 0; tries < 5; tries++) {
    const failedMs = performance.now();
    take(bench).fail(failure('NOT_ENOUGH_REPLICAS'));
    while (bench.sent.length === 0) await sleep(1);
    timesMs.push(performance.now() - failedMs);
  }
  const least = [8, 16, 32, 64, 128];
  for (const [n, timeMs] of timesMs.entries()) assert.ok(timeMs >= least[n], `${n}: ${timeMs} ms`);
  await bench.settleAll();
});

test('after its time a record fails with what went wrong last, and what is known of it', async () => {
  const { bench, sends } = await benchWith(2, { deliveryTimeoutMs: 60 });
  const batches = bench.sent.splice(0);
  bench.answers.set(1, (batch) => {
    batch.sent();
    queueMicrotask(() => batch.fail(failure('NOT_ENOUGH_REPLICAS')));
  });
  batches[0].fail(failure('BROKER_FAILED'));
  batches[1].fail(failure('NOT_ENOUGH_REPLICAS'));
  await sleep(80);
  bench.tick();
  assert.ok(refusal('NOT_ENOUGH_REPLICAS', /60 ms.*Whether they were written is not known/s)(await sends[0]));
  assert.ok(refusal('NOT_ENOUGH_REPLICAS', /60 ms.*Nothing was written/s)(await sends[1]));
  assert.is(bench.producer.bufferedBytes, 0);
  // They may still come: in another epoch nobody takes what follows for them.
  bench.answers.clear();
  const next = outcomeOf(bench.producer.send('t', { value: 'next' }));
  while (bench.sent.length === 0) await sleep(5);
  const { producer } = bench.sent[0];
  assert.equal(producer, { id: 1, epoch: 1, sequence: 0 });
  bench.settle(9);
  assert.equal(await next, { partition: 0, offset: 9 });
});

test('a batch that is never answered fails after its time too, and what is answered then goes nowhere', async () => {
  const { bench, sends } = await benchWith(2, { deliveryTimeoutMs: 30 });
  const [first, second] = [...bench.sent];
  await sleep(50);
  bench.tick();
  assert.ok(refusal('REQUEST_TIMED_OUT', /not known/)(await sends[0]));
  assert.ok(refusal('REQUEST_TIMED_OUT')(await sends[1]));
  assert.is(bench.sent.length, 0, 'both are abandoned');
  assert.not(first === second);
});

test('behind a batch that was given up, what may be written is asked for by its old number first', async () => {
  const { bench, sends } = await benchWith(3);
  const [first, second, third] = bench.sent.splice(0);
  first.fail(failure('MESSAGE_TOO_LARGE'));
  second.fail(failure('BROKER_FAILED'));
  third.fail(failure('BROKER_FAILED'));
  assert.ok(refusal('MESSAGE_TOO_LARGE')(await sends[0]));
  await sleep(40);
  assert.equal(
    bench.sent.map(({ producer }) => [producer.epoch, producer.sequence]),
    [[0, 1]],
  );
  // Nobody has it: so nobody has those behind it.
  take(bench).fail(failure('OUT_OF_ORDER_SEQUENCE_NUMBER'));
  await sleep(60);
  assert.equal(
    bench.sent.map(({ producer }) => [producer.epoch, producer.sequence]),
    [
      [1, 0],
      [1, 1],
    ],
  );
  await bench.settleAll();
});

test('a partition that has forgotten the producer gets its records in a new sequence', async () => {
  for (const code of ['UNKNOWN_PRODUCER_ID', 'OUT_OF_ORDER_SEQUENCE_NUMBER'] as const) {
    const { bench, sends } = await benchWith(2);
    bench.settle(0);
    take(bench).fail(failure(code));
    await turn();
    const again = take(bench);
    assert.equal(again.producer, { id: 1, epoch: 1, sequence: 0 });
    again.settle(1);
    assert.equal(await sends[1], { partition: 0, offset: 1 });
  }
});

test('a batch that may be written where the producer was forgotten since is given up, and nothing is written twice', async () => {
  const { bench, sends } = await benchWith(3);
  bench.settle(0);
  // Its answer is lost, and the third one goes the same way.
  for (let lost = 0; lost < 2; lost++) take(bench).fail(failure('BROKER_FAILED'));
  await sleep(40);
  assert.is(bench.sent.length, 2);
  for (const again of bench.sent.splice(0)) {
    assert.is(again.producer.epoch, 0);
    again.fail(failure('UNKNOWN_PRODUCER_ID'));
  }
  const sentence = /Partition 0 of 't' has forgotten this producer.*not known.*may write them twice/;
  for (const send of sends.slice(1)) assert.ok(refusal('UNKNOWN_PRODUCER_ID', sentence)(await send));
  await turn();
  assert.equal(bench.sent, []);
  const next = outcomeOf(bench.producer.send('t', { value: 'v' }));
  await turn();
  const sent = take(bench);
  assert.equal(sent.producer, { id: 1, epoch: 1, sequence: 0 });
  sent.settle(3);
  assert.equal(await next, { partition: 0, offset: 3 });
});

test('a producer whose first batch has never arrived goes on with those behind it', async () => {
  const { bench, sends } = await benchWith(2);
  for (let lost = 0; lost < 2; lost++) take(bench).fail(failure('BROKER_FAILED'));
  await sleep(40);
  take(bench).fail(failure('MESSAGE_TOO_LARGE'));
  take(bench).fail(failure('UNKNOWN_PRODUCER_ID'));
  while (bench.sent.length === 0) await sleep(5);
  const again = take(bench);
  assert.equal(again.producer, { id: 1, epoch: 1, sequence: 0 });
  again.settle(0);
  assert.equal(await sends[1], { partition: 0, offset: 0 });
});

test('a producer whose epoch is refused gets another identity', async () => {
  const { bench, sends } = await benchWith(1);
  take(bench).fail(failure('INVALID_PRODUCER_EPOCH'));
  await turn();
  await turn();
  const again = take(bench);
  assert.is(again.producer.id, 2);
  again.settle(0);
  assert.equal(await sends[0], { partition: 0, offset: 0 });
});

test('an identity that cannot be had yet is asked for again, and sends wait for it', async () => {
  let asked = 0;
  const newProducerId = async () => {
    if (++asked < 3) throw failure('NOT_CONTROLLER');
    return { producerId: 7, producerEpoch: 0 };
  };
  const bench = new ProducerBench({ newProducerId });
  const send = outcomeOf(bench.producer.send('t', { value: 'v' }));
  while (bench.sent.length === 0) await sleep(5);
  assert.is(asked, 3);
  take(bench).settle(3);
  assert.equal(await send, { partition: 0, offset: 3 });
});

test('without an identity records fail after their time', async () => {
  const newProducerId = () => Promise.reject(failure('NOT_CONTROLLER'));
  const bench = new ProducerBench({ deliveryTimeoutMs: 30, newProducerId });
  const send = outcomeOf(bench.producer.send('t', { value: 'v' }));
  await sleep(50);
  bench.tick();
  assert.ok(refusal('NOT_CONTROLLER', /30 ms.*Nothing was written/)(await send));
});

test('what is not idempotent has no numbers', async () => {
  for (const options of [{ acks: 1 }, { idempotent: false }] as const) {
    const { bench } = await benchWith(1, options);
    assert.equal(bench.sent[0].producer, { id: -1, epoch: -1, sequence: -1 });
    await bench.settleAll();
  }
  await assertRefusedOption({ acks: 1, idempotent: true });
  await assertRefusedOption({ acks: 0, idempotent: true });
});

async function assertRefusedOption(options: BenchOptions): Promise<void> {
  const made = (async () => new ProducerBench(options).producer)();
  await assertRefused(made, 'INVALID_ARGUMENT', /needs acks 'all'/);
}

test('with acks 0 records wait for a leader, and are not sent twice', async () => {
  const bench = new ProducerBench({ acks: 0, isRunning: false });
  const got: number[] = [];
  const send = outcomeOf(bench.producer.send('t', { value: 'v' }));
  bench.answers.set(1, (batch) => {
    got.push(batch.partitionId);
    batch.sent();
    batch.settle(-1);
  });
  await turn();
  bench.start(1);
  assert.equal(await send, { partition: 0, offset: -1 });
  assert.equal(got, [0]);
});

test('records of a deleted topic fail, those in flight and those that wait for a leader', async () => {
  const { bench, sends } = await benchWith(23);
  const inFlight = bench.sent.splice(0);
  bench.deleteTopic();
  for (const outcome of await Promise.all(sends.slice(20)))
    assert.ok(refusal('UNKNOWN_TOPIC_OR_PARTITION', /was deleted.*Nothing was written/)(outcome));
  for (const batch of inFlight) batch.fail(failure('UNKNOWN_TOPIC_OR_PARTITION'));
  for (const outcome of await Promise.all(sends.slice(0, 20)))
    assert.ok(refusal('UNKNOWN_TOPIC_OR_PARTITION')(outcome));
  assert.is(bench.producer.bufferedBytes, 0);
});

test('when the cluster closes everything fails at once, also what waits for a leader', async () => {
  for (const options of [{}, { isRunning: false }]) {
    const { bench, sends } = await benchWith(23, options);
    bench.end();
    for (const outcome of await Promise.all(sends)) assert.ok(refusal('CLOSED')(outcome), String(outcome));
    assert.is(bench.producer.bufferedBytes, 0);
    await bench.producer.close();
  }
});

test('flush and close wait for what is sent again', async () => {
  const { bench, sends } = await benchWith(1);
  take(bench).fail(failure('NOT_LEADER_OR_FOLLOWER'));
  let isClosed = false;
  const closed = bench.producer.close().then(() => {
    isClosed = true;
  });
  await turn();
  assert.is(isClosed, false);
  bench.announce(0, { leader: 2, epoch: 1 });
  take(bench).settle(3);
  await closed;
  assert.equal(await sends[0], { partition: 0, offset: 3 });
});

test('the reason why a disk has failed is told in the end', async () => {
  const { bench, sends } = await benchWith(1, { deliveryTimeoutMs: 20 });
  take(bench).fail(failure('KAFKA_STORAGE_ERROR'));
  await sleep(30);
  bench.tick();
  assert.ok(refusal('KAFKA_STORAGE_ERROR', /The reason is known.*20 ms/)(await sends[0]));
});

test('room comes free when batches are given up as when they are acknowledged', async () => {
  const { bench, sends } = await benchWith(6, { bufferBytes: 300, deliveryTimeoutMs: 40, isRunning: false });
  assert.ok(bench.producer.bufferedBytes < 500);
  await sleep(60);
  bench.tick();
  bench.start(1);
  const late = sends.slice(0, 3);
  for (const outcome of await Promise.all(late)) assert.ok(refusal('BROKER_FAILED')(outcome));
  const settled = await bench.settleAll();
  assert.equal(namesOf(settled), [3, 4, 5]);
});

test.run();
