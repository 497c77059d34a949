// What a broker answers to idempotent producers, pass by pass: repeated batches, gaps, and leaders that follow each other.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BrokerLink } from '../../src/client/broker-link.ts';
import type { PartitionInfo } from '../../src/types.ts';
import { encodeBatch } from '../log/record-batch-fixtures.ts';
import { type Brokers, withBrokers } from './broker-fixtures.ts';

const CLIENT = 9;
const EPOCH = 3;

interface Sent {
  readonly producer?: readonly [id: number, epoch: number, sequence: number];
  readonly records?: number;
  readonly acks?: number;
  readonly epoch?: number;
}

/** A client that says for each batch what came of it: its offset, the code of an error, or nothing yet. */
class Client {
  readonly link: BrokerLink;
  readonly #partition: number;
  readonly #broker: number;
  readonly #brokers: Brokers;

  constructor(brokers: Brokers, partition: number, broker = 1) {
    this.#brokers = brokers;
    this.#partition = partition;
    this.#broker = broker;
    this.link = brokers.connect(broker, CLIENT + broker);
  }

  /** Several sent in one turn are taken in one pass. */
  send(...all: readonly Sent[]): (number | string | undefined)[] {
    const outcomes: (number | string | undefined)[] = all.map(() => undefined);
    for (const [n, { producer, records = 1, acks = -1, epoch = EPOCH }] of all.entries()) {
      const value = Buffer.from(`${producer}`);
      const bytes = encodeBatch(
        Array.from({ length: records }, () => ({ value })),
        producer === undefined ? {} : { producer },
      );
      this.link.produce({
        partitionId: this.#partition,
        epoch,
        acks,
        timeoutMs: 30_000,
        bytes,
        sent: () => {},
        settle: (baseOffset) => {
          outcomes[n] = baseOffset;
        },
        fail: ({ code }) => {
          outcomes[n] = code;
        },
      });
    }
    this.take();
    return outcomes;
  }

  /** The broker takes what there is, and the answers come. */
  take(): void {
    this.#brokers.get(this.#broker).pass();
    this.link.pump();
  }
}

function leo(brokers: Brokers, broker = 1): number {
  return brokers.replica(broker, 0).log.leo;
}

function batchesOf(count: number): Sent[] {
  return Array.from({ length: count }, (_, n) => ({ producer: [5, 0, 2 * n], records: 2 }) as const);
}

async function lead(brokers: Brokers, leader: number, epoch: number, isr: readonly number[]): Promise<void> {
  const { info } = brokers.replica(leader, 0);
  const next: PartitionInfo = { ...info, leader, epoch, isr };
  await brokers.get(leader).reform([next]);
  for (const id of [1, 2, 3]) if (id !== leader) await brokers.get(id).reform([next]);
}

test('LESSONS 24: five batches of one pass are each judged by the one before, and repeated ones add nothing', () =>
  withBrokers({ count: 1 }, (brokers) => {
    const client = new Client(brokers, brokers.addPartition());
    const all = batchesOf(5);
    assert.equal(client.send(...all), [0, 2, 4, 6, 8]);
    assert.equal(client.send(...all), [0, 2, 4, 6, 8]);
    assert.equal(client.send(...[...all].reverse()), [8, 6, 4, 2, 0]);
    assert.is(leo(brokers), 10);
    assert.is(brokers.counters(1).duplicateBatches, 10);
    assert.is(brokers.counters(1).batchesAppended, 5);
  }));

test('a gap, an older epoch and a stranger are refused, each by its own code, and nothing is appended', () =>
  withBrokers({ count: 1 }, (brokers) => {
    const client = new Client(brokers, brokers.addPartition());
    assert.equal(client.send({ producer: [5, 1, 0] }), [0]);
    assert.equal(
      client.send(
        { producer: [5, 1, 2] },
        { producer: [5, 0, 1] },
        { producer: [6, 0, 1] },
        { producer: [5, 2, 1] },
        { producer: [Number.MAX_SAFE_INTEGER + 1, 0, 0] },
      ),
      [
        'OUT_OF_ORDER_SEQUENCE_NUMBER',
        'INVALID_PRODUCER_EPOCH',
        'UNKNOWN_PRODUCER_ID',
        'OUT_OF_ORDER_SEQUENCE_NUMBER',
        'UNKNOWN_PRODUCER_ID',
      ],
    );
    assert.is(leo(brokers), 1);
    assert.is(brokers.counters(1).batchesRefused, 5);
    assert.equal(client.send({ producer: [5, 1, 1] }, { producer: [5, 2, 0] }, {}), [1, 2, 3]);
  }));

test('with acks 0 a repeated batch is dropped in silence', () =>
  withBrokers({ count: 1 }, (brokers) => {
    const client = new Client(brokers, brokers.addPartition());
    client.send({ producer: [5, 0, 0], acks: 0 }, { producer: [5, 0, 0], acks: 0 });
    assert.is(leo(brokers), 1);
  }));

test('a repeated batch is answered when its original is as far as was asked: with acks all once it is committed', () =>
  withBrokers({ count: 2 }, async (brokers) => {
    const client = new Client(brokers, brokers.addPartition());
    const first = client.send({ producer: [5, 0, 0] }, { producer: [5, 0, 1] });
    assert.equal(first, [undefined, undefined], 'the follower has not got them');
    const again = client.send({ producer: [5, 0, 0] }, { producer: [5, 0, 1], acks: 1 });
    assert.equal(again, [undefined, 1]);
    await brokers.settle();
    client.link.pump();
    assert.equal(first, [0, 1]);
    assert.equal(again, [0, 1]);
    assert.is(leo(brokers), 2);
  }));

test('a leader answers for batches that it has taken as a follower, and goes on where they end', () =>
  withBrokers({ count: 3 }, async (brokers) => {
    const partition = brokers.addPartition();
    const old = new Client(brokers, partition);
    old.send(...batchesOf(3));
    await brokers.settle();
    // The last one has reached one follower alone, and nobody was told.
    old.send({ producer: [5, 0, 6], records: 2 });
    brokers.get(2).pass();
    await lead(brokers, 2, EPOCH + 1, [2, 3]);
    const client = new Client(brokers, partition, 2);
    const epoch = EPOCH + 1;
    const again = client.send(
      { producer: [5, 0, 4], records: 2, epoch },
      { producer: [5, 0, 6], records: 2, epoch },
      { producer: [5, 0, 8], records: 2, epoch },
      { producer: [5, 0, 12], records: 2, epoch },
    );
    assert.equal(again, [4, undefined, undefined, 'OUT_OF_ORDER_SEQUENCE_NUMBER']);
    await brokers.settle();
    client.link.pump();
    assert.equal(again, [4, 6, 8, 'OUT_OF_ORDER_SEQUENCE_NUMBER']);
    assert.is(leo(brokers, 2), 10);
    assert.ok(brokers.isEqual(partition, 2, 3) && brokers.isEqual(partition, 2, 1));
  }));

test('what a new leader has not got is no duplicate there, and who has cut it takes it again', () =>
  withBrokers({ count: 3 }, async (brokers) => {
    const partition = brokers.addPartition();
    const old = new Client(brokers, partition);
    old.send({ producer: [5, 0, 0] });
    await brokers.settle();
    old.send({ producer: [5, 0, 1] });
    assert.is(leo(brokers, 1), 2);
    await lead(brokers, 2, EPOCH + 1, [2, 3]);
    const client = new Client(brokers, partition, 2);
    const again = client.send({ producer: [5, 0, 1], records: 3, epoch: EPOCH + 1 });
    await brokers.settle();
    client.link.pump();
    assert.equal(again, [1]);
    await lead(brokers, 1, EPOCH + 2, [1, 2, 3]);
    await brokers.settle();
    const next = old.send(
      { producer: [5, 0, 1], records: 3, epoch: EPOCH + 2 },
      { producer: [5, 0, 4], epoch: EPOCH + 2 },
    );
    await brokers.settle();
    old.link.pump();
    assert.equal(next, [1, 4]);
  }));

test('a follower that begins where the log of its leader begins learns of producers that are not in it', () =>
  withBrokers({ count: 2 }, async (brokers) => {
    const partition = brokers.addPartition({}, { 2: { leader: -1 } });
    const { info } = brokers.replica(1, partition);
    await brokers.get(1).reform([{ ...info, isr: [1] }]);
    const old = new Client(brokers, partition);
    old.send({ producer: [5, 0, 0] }, { producer: [5, 0, 1] });
    await brokers.get(1).deleteRecords(partition, -1);
    assert.is(brokers.replica(1, partition).log.logStart, 2);
    await lead(brokers, 1, EPOCH + 1, [1]).catch(() => undefined);
    await brokers.settle();
    assert.is(brokers.replica(2, partition).log.logStart, 2);
    const next = { ...info, leader: 2, epoch: EPOCH + 2, isr: [2] };
    await brokers.get(2).reform([next]);
    const client = new Client(brokers, partition, 2);
    const outcomes = client.send(
      { producer: [5, 0, 1], epoch: EPOCH + 2 },
      { producer: [5, 0, 2], epoch: EPOCH + 2 },
    );
    client.take();
    assert.equal(outcomes, [1, 2]);
  }));

test.run();
