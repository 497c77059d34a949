// A producer against brokers that are played: answers get lost, leaders change and lose what was not committed, replicas
// are missing. Whatever happens, each acknowledged record stands in the log once, where it was acknowledged, and in order.
// The seed is printed with a failure; set SEED to play it again.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { OutboundBatch } from '../../src/client/broker-link.ts';
import { type ErrorCode, TidemarkError } from '../../src/errors.ts';
import { BATCHES_IN_FLIGHT_MAX } from '../../src/limits.ts';
import { readBaseSequence, readProducerEpoch, readProducerId } from '../../src/log/record-batch.ts';
import { seededRandom } from '../log/seeded-random.ts';
import { ProducerBench, type SentBatch, sleep, valuesOf } from './producer-fixtures.ts';

interface Written {
  readonly values: readonly string[];
  readonly base: number;
  readonly id: number;
  readonly epoch: number;
  readonly sequence: number;
}

type Random = (below: number) => number;

/** One partition as its leaders see it; every replica has what is committed, a leader alone may have more. */
class PlayedPartition {
  readonly log: Written[] = [];
  #committed = 0;
  /** Up to here nobody knows any more who has written what. */
  #forgotten = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  get end(): number {
    const last = this.log.at(-1);
    return last === undefined ? 0 : last.base + last.values.length;
  }

  commit(): void {
    this.#committed = this.log.length;
  }

  /** The next leader has all that is committed, and perhaps some more. */
  failOver(): void {
    this.log.length = this.#committed + this.#random(this.log.length - this.#committed + 1);
    this.#forgotten = Math.min(this.#forgotten, this.log.length);
  }

  forget(): void {
    this.#forgotten = this.log.length;
  }

  /** As a partition judges what a producer with an identity sends: an offset, or a refusal. */
  append(batch: OutboundBatch): number | ErrorCode {
    const { bytes } = batch;
    const id = readProducerId(bytes, 0);
    const epoch = readProducerEpoch(bytes, 0);
    const sequence = readBaseSequence(bytes, 0);
    const known = this.log.slice(this.#forgotten).filter((each) => each.id === id);
    const last = known.at(-1);
    if (last !== undefined && epoch < last.epoch) return 'INVALID_PRODUCER_EPOCH';
    const ofEpoch = known.filter((each) => each.epoch === epoch);
    const original = ofEpoch.slice(-BATCHES_IN_FLIGHT_MAX).find((each) => each.sequence === sequence);
    if (original !== undefined) return original.base;
    const before = ofEpoch.at(-1);
    const expected = before === undefined ? 0 : before.sequence + before.values.length;
    if (sequence !== expected)
      return last === undefined ? 'UNKNOWN_PRODUCER_ID' : 'OUT_OF_ORDER_SEQUENCE_NUMBER';
    const base = this.end;
    this.log.push({ values: valuesOf(batch), base, id, epoch, sequence });
    return base;
  }
}

interface Play {
  /** Batches are given up after a little while. */
  readonly isHasty: boolean;
  /** The partition forgets the producer, which knows by then that its sequence has begun. */
  readonly isForgetful: boolean;
}

async function play(seed: number, story: string[], { isHasty, isForgetful }: Play): Promise<void> {
  const random = seededRandom(seed);
  const deliveryTimeoutMs = isHasty ? 15 : 60_000;
  const bench = new ProducerBench({ brokers: 2, batchBytes: 200, deliveryTimeoutMs });
  const partition = new PlayedPartition(random);
  let leader = 1;
  let epoch = 0;
  /** The last epoch whose first batch was acknowledged: one that is forgotten before that is written once more. */
  let begun = -1;
  const refuse = (batch: OutboundBatch, code: ErrorCode): void =>
    batch.fail(new TidemarkError(code, `It was ${code}.`));

  /** What the broker says: an offset, or what was wrong. Of what it has written the answer may get lost, or come too late. */
  const answerTo = ({ broker, epoch: sentIn, original }: SentBatch): number | ErrorCode => {
    const chance = random(100);
    if (broker !== leader || sentIn !== epoch) return 'NOT_LEADER_OR_FOLLOWER';
    if (chance < 6) return 'NOT_ENOUGH_REPLICAS';
    const appended = partition.append(original);
    if (typeof appended === 'string' || chance >= 16) return appended;
    return chance < 10 ? 'BROKER_FAILED' : 'REQUEST_TIMED_OUT';
  };
  const serve = (): void => {
    const sent = bench.sent.shift();
    if (sent === undefined) return;
    const answer = answerTo(sent);
    story.push(
      `${sent.values.map((v) => Number.parseInt(v, 10))} #${JSON.stringify(sent.producer)} to ${sent.broker}/${sent.epoch}: ${answer}`,
    );
    if (typeof answer === 'string') {
      refuse(sent.original, answer);
    } else {
      partition.commit();
      sent.original.settle(answer);
      if (sent.producer.sequence === 0) begun = sent.producer.epoch;
    }
  };
  const failOver = (): void => {
    partition.failOver();
    leader = 3 - leader;
    epoch += 1;
    // Who dies answers nothing any more; who only hangs neither.
    if (random(2) === 0) for (const { original } of bench.sent.splice(0)) refuse(original, 'BROKER_FAILED');
    story.push(`failover to ${leader}/${epoch}, ${partition.log.length} batches`);
    bench.announce(0, { leader, epoch });
  };

  const outcomes: Promise<{ offset: number } | TidemarkError>[] = [];
  for (let step = 0; step < 150 || bench.producer.bufferedBytes > 0; step++) {
    const chance = random(100);
    if (step < 150 && chance < 40) {
      const value = `${outcomes.length}`.padEnd(20 + random(150), '.');
      outcomes.push(bench.producer.send('t', { value }).catch((error) => error));
    } else if (step < 150 && chance < 47) {
      failOver();
    } else if (isForgetful && chance < 52 && partition.log.at(-1)?.epoch === begun) {
      partition.forget();
      story.push('forgotten');
    } else {
      serve();
    }
    if (random(4) === 0) await (random(8) === 0 ? sleep(random(20)) : Promise.resolve());
    if (step % 20 === 0) {
      await sleep(0);
      bench.tick();
    }
  }
  check(partition, await Promise.all(outcomes), isHasty || isForgetful);
}

function check(
  partition: PlayedPartition,
  outcomes: readonly ({ offset: number } | TidemarkError)[],
  mayGiveUp: boolean,
): void {
  const places = new Map<number, number[]>();
  for (const { values, base } of partition.log) {
    for (const [n, value] of values.entries()) {
      const record = Number.parseInt(value, 10);
      places.set(record, [...(places.get(record) ?? []), base + n]);
    }
  }
  let last = -1;
  for (const [record, outcome] of outcomes.entries()) {
    const found = places.get(record) ?? [];
    assert.ok(found.length <= 1, `record ${record} stands at ${found}`);
    if (outcome instanceof TidemarkError) {
      assert.ok(mayGiveUp, `record ${record}: ${outcome}`);
      if (/Nothing was written/.test(outcome.message))
        assert.equal(found, [], `record ${record}: ${outcome}`);
      continue;
    }
    assert.equal(found, [outcome.offset], `record ${record}`);
    assert.ok(outcome.offset > last, `record ${record} at ${outcome.offset} behind ${last}`);
    last = outcome.offset;
  }
}

const SEED = Number(process.env.SEED ?? 1 + Math.floor(Math.random() * 1e9));
const ROUNDS = process.env.SEED === undefined ? 30 : 1;

const plays: Readonly<Record<string, Play>> = {
  'each record is written once and in order': { isHasty: false, isForgetful: false },
  'each record is written once and in order, or given up': { isHasty: true, isForgetful: false },
  'each record is written once and in order, or given up, where its producer is forgotten': {
    isHasty: false,
    isForgetful: true,
  },
};

for (const [promise, options] of Object.entries(plays)) {
  test(`LESSONS 24: ${promise}`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const story: string[] = [];
      try {
        await play(SEED + round, story, options);
      } catch (error) {
        throw new Error(`SEED=${SEED + round}: ${(error as Error).message}\n${story.join('\n')}`);
      }
    }
  });
}

test.run();
