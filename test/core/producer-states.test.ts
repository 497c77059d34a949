import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ProducerStates, sequenceAfter } from '../../src/core/producer-states.ts';
import { BATCHES_IN_FLIGHT_MAX, PRODUCERS_A_PARTITION_MAX } from '../../src/limits.ts';
import type { ProducedBatch, SequenceVerdict } from '../../src/types.ts';

const LAST_SEQUENCE = 2 ** 31 - 1;

interface Batch {
  readonly producerId?: number;
  readonly epoch?: number;
  readonly sequence: number;
  readonly records?: number;
}

/** A partition that takes what its states let it take. */
class Partition {
  readonly states = new ProducerStates();
  readonly log: ProducedBatch[] = [];
  leo = 0;

  offer({ producerId = 7, epoch = 0, sequence, records = 1 }: Batch): SequenceVerdict {
    const verdict = this.states.judge(producerId, epoch, sequence, records);
    if (verdict !== 'next') return verdict;
    const batch: ProducedBatch = {
      producerId,
      producerEpoch: epoch,
      firstSequence: sequence,
      baseOffset: this.leo,
      nextOffset: this.leo + records,
      timestamp: 0,
    };
    this.leo += records;
    this.log.push(batch);
    this.states.note(batch);
    return verdict;
  }

  originalOf({ producerId = 7, epoch = 0, sequence, records = 1 }: Batch): number | undefined {
    return this.states.original(producerId, epoch, sequence, records)?.baseOffset;
  }
}

test('a producer begins at 0, and each batch goes on where the one before has ended', () => {
  const partition = new Partition();
  assert.is(partition.offer({ sequence: 3 }), 'unknown producer');
  assert.is(partition.offer({ sequence: 0, records: 3 }), 'next');
  assert.is(partition.offer({ sequence: 3 }), 'next');
  assert.is(partition.offer({ sequence: 5 }), 'gap');
  assert.is(partition.offer({ sequence: 4 }), 'next');
  assert.is(partition.offer({ producerId: 8, sequence: 0 }), 'next');
});

test('each of the last twenty batches is known when it comes again, and one before them is not', () => {
  const partition = new Partition();
  for (let n = 0; n < 21; n++) partition.offer({ sequence: 2 * n, records: 2 });
  for (let n = 1; n < 21; n++) {
    const again = { sequence: 2 * n, records: 2 };
    assert.is(partition.offer(again), 'duplicate');
    assert.is(partition.originalOf(again), 2 * n);
  }
  assert.is(partition.offer({ sequence: 0, records: 2 }), 'gap');
  assert.is(partition.originalOf({ sequence: 0, records: 2 }), undefined);
  // It repeats a part of what is there: no producer of ours cuts a batch in two.
  assert.is(partition.offer({ sequence: 4, records: 1 }), 'gap');
});

test('a copy stays as it was, whatever the producers write on', () => {
  const states = new ProducerStates();
  const batch = (n: number, producerEpoch = 0): ProducedBatch => ({
    producerId: 7,
    producerEpoch,
    firstSequence: n,
    baseOffset: n,
    nextOffset: n + 1,
    timestamp: 0,
  });
  const written = (of: ProducerStates): number[] =>
    [...of.entries()].flatMap(([, { batches }]) => batches.map(({ baseOffset }) => baseOffset));
  states.note(batch(0));
  const first = states.copy();
  states.note(batch(1));
  const second = states.copy();
  second.note(batch(2));
  second.note(batch(3));
  states.note({ ...batch(2, 1), firstSequence: 0 });
  assert.equal([first, second, states].map(written), [[0], [0, 1, 2, 3], [2]]);
  assert.equal(
    [first, second, states].map(({ end }) => end),
    [1, 4, 3],
  );
});

test('LESSONS 24: with several batches in flight each is judged by what the one before it has left', () => {
  const partition = new Partition();
  const inFlight = [0, 1, 2, 3, 4].map((sequence) => ({ sequence }));
  assert.equal(
    inFlight.map((batch) => partition.offer(batch)),
    ['next', 'next', 'next', 'next', 'next'],
  );
  assert.equal(
    inFlight.map((batch) => partition.offer(batch)),
    ['duplicate', 'duplicate', 'duplicate', 'duplicate', 'duplicate'],
  );
  assert.is(partition.leo, 5);
});

test('behind 2^31 - 1 sequences begin again at 0', () => {
  assert.is(sequenceAfter(LAST_SEQUENCE, 1), 0);
  assert.is(sequenceAfter(LAST_SEQUENCE - 1, 4), 2);
  const states = new ProducerStates();
  const of = { producerId: 1, producerEpoch: 0, timestamp: 0 };
  states.restore(1, {
    epoch: 0,
    batches: [{ ...of, firstSequence: LAST_SEQUENCE - 1, baseOffset: 10, nextOffset: 13 }],
  });
  assert.is(states.judge(1, 0, 0, 1), 'gap');
  assert.is(states.judge(1, 0, LAST_SEQUENCE - 1, 3), 'duplicate');
  assert.is(states.judge(1, 0, 1, 1), 'next');
});

test('a newer epoch begins at 0, and the older one is refused from then on', () => {
  const partition = new Partition();
  partition.offer({ epoch: 1, sequence: 0 });
  assert.is(partition.offer({ epoch: 2, sequence: 1 }), 'gap');
  assert.is(partition.offer({ epoch: 2, sequence: 0 }), 'next');
  assert.is(partition.offer({ epoch: 1, sequence: 0 }), 'stale epoch');
  assert.is(partition.offer({ epoch: 1, sequence: 1 }), 'stale epoch');
  assert.is(partition.offer({ epoch: 2, sequence: 0 }), 'duplicate');
  assert.is(partition.offer({ epoch: 2, sequence: 1 }), 'next');
});

test('a marker of a transaction brings a new epoch, and no place in a sequence', () => {
  const partition = new Partition();
  partition.offer({ sequence: 0 });
  const marker = { producerId: 7, firstSequence: -1, baseOffset: 1, nextOffset: 2, timestamp: 0 };
  partition.states.note({ ...marker, producerEpoch: 0 });
  assert.is(partition.offer({ sequence: 0 }), 'duplicate');
  partition.leo = 3;
  partition.states.note({ ...marker, producerEpoch: 4, baseOffset: 2, nextOffset: 3 });
  assert.is(partition.offer({ sequence: 1 }), 'stale epoch');
  assert.is(partition.offer({ epoch: 4, sequence: 1 }), 'gap');
  assert.is(partition.offer({ epoch: 4, sequence: 0 }), 'next');
});

test('what was noted before is passed over', () => {
  const partition = new Partition();
  for (const sequence of [0, 1, 2]) partition.offer({ sequence });
  for (const batch of partition.log) partition.states.note(batch);
  const [[, { batches }]] = partition.states.entries();
  assert.equal(batches, partition.log);
});

test('a producer that is silent for long is forgotten, counted from the first look at the clock', () => {
  const partition = new Partition();
  partition.offer({ sequence: 0 });
  partition.states.expire(1_000, 100);
  partition.states.expire(1_099, 100);
  assert.is(partition.states.size, 1);
  partition.offer({ sequence: 1 });
  partition.states.expire(1_150, 100);
  partition.states.expire(1_249, 100);
  assert.is(partition.offer({ sequence: 2 }), 'next');
  partition.states.expire(1_300, 100);
  partition.states.expire(1_400, 100);
  assert.is(partition.states.size, 0);
  assert.is(partition.offer({ sequence: 3 }), 'unknown producer');
});

test('memory is bounded: the producer that has written least lately goes first', () => {
  const partition = new Partition();
  for (let producerId = 0; producerId < PRODUCERS_A_PARTITION_MAX; producerId++)
    partition.offer({ producerId, sequence: 0 });
  partition.offer({ producerId: 0, sequence: 1 });
  partition.offer({ producerId: PRODUCERS_A_PARTITION_MAX, sequence: 0 });
  assert.is(partition.states.size, PRODUCERS_A_PARTITION_MAX);
  assert.is(partition.offer({ producerId: 1, sequence: 1 }), 'unknown producer');
  assert.is(partition.offer({ producerId: 0, sequence: 2 }), 'next');
  assert.is(partition.offer({ producerId: 2, sequence: 1 }), 'next');
});

interface Step {
  /** Which of the producer's unanswered batches the network brings now. */
  readonly pick: number;
  readonly answer: 'comes' | 'is lost';
  readonly more: number;
}

const steps = fc.array(
  fc.record({
    pick: fc.nat(4),
    answer: fc.constantFrom('comes' as const, 'is lost' as const),
    more: fc.nat(8),
  }),
  { maxLength: 200 },
);

/** A producer with up to twenty batches in flight, that sends each again until it is answered. */
function play(all: readonly Step[], failOver: (partition: Partition, step: number) => Partition): Partition {
  let partition = new Partition();
  const unanswered: { sequence: number; records: number }[] = [];
  let next = 0;
  const bring = (index: number, answer: Step['answer']): void => {
    const batch = unanswered[index];
    const verdict = partition.offer(batch);
    // The ones before it are still on their way: it is sent once more.
    if (verdict === 'gap' || verdict === 'unknown producer') {
      assert.ok(index > 0, `the first unanswered batch is refused: ${verdict}`);
      return;
    }
    if (verdict === 'duplicate') assert.type(partition.originalOf(batch), 'number');
    if (answer === 'comes') unanswered.splice(index, 1);
  };
  for (const [n, { pick, answer, more }] of all.entries()) {
    for (let k = 0; k < more && unanswered.length < BATCHES_IN_FLIGHT_MAX; k++) {
      const records = 1 + ((n + k) % 3);
      // No more batches than that from the first unanswered one on.
      if (unanswered.length > 0 && sentSince(unanswered[0].sequence) >= BATCHES_IN_FLIGHT_MAX) break;
      unanswered.push({ sequence: next, records });
      next += records;
      sent.push(next - records);
    }
    if (unanswered.length > 0) bring(pick % unanswered.length, answer);
    partition = failOver(partition, n);
  }
  while (unanswered.length > 0) bring(0, 'comes');
  return partition;

  function sentSince(sequence: number): number {
    return sent.filter((each) => each >= sequence).length;
  }
}
let sent: number[] = [];

function assertOnceEach({ log }: Partition): void {
  let sequence = 0;
  for (const batch of log) {
    assert.is(batch.firstSequence, sequence);
    sequence += batch.nextOffset - batch.baseOffset;
  }
}

test('whatever is lost, repeated or reordered, each batch is there once and in order', () => {
  fc.assert(
    fc.property(steps, (all) => {
      sent = [];
      assertOnceEach(play(all, (partition) => partition));
    }),
    { numRuns: 500 },
  );
});

test('the same with leaders that follow one another, each of which knows what its log says', () => {
  fc.assert(
    fc.property(steps, (all) => {
      sent = [];
      const failOver = (partition: Partition, step: number): Partition => {
        if (step % 7 !== 0) return partition;
        const successor = new Partition();
        for (const batch of partition.log) successor.states.note(batch);
        successor.log.push(...partition.log);
        successor.leo = partition.leo;
        assert.equal([...successor.states.entries()], [...partition.states.entries()]);
        return successor;
      };
      assertOnceEach(play(all, failOver));
    }),
    { numRuns: 500 },
  );
});

test('what two parts of a log say, one behind the other, is what the log says', () => {
  const entry = fc.record({
    producerId: fc.nat({ max: 4 }),
    risesBy: fc.constantFrom(0, 0, 0, 0, 0, 0, 1),
    records: fc.integer({ min: 1, max: 5 }),
    isMarker: fc.constantFrom(false, false, false, false, true),
  });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 150 }), fc.nat({ max: 150 }), (entries, cut) => {
      const log: ProducedBatch[] = [];
      const epochs = new Map<number, number>();
      for (const [n, { producerId, risesBy, records, isMarker }] of entries.entries()) {
        const producerEpoch = (epochs.get(producerId) ?? 0) + risesBy;
        epochs.set(producerId, producerEpoch);
        const baseOffset = log.at(-1)?.nextOffset ?? 0;
        const firstSequence = isMarker ? -1 : n;
        const nextOffset = baseOffset + records;
        log.push({ producerId, producerEpoch, firstSequence, baseOffset, nextOffset, timestamp: 0 });
      }
      const [whole, first, second] = [log, log.slice(0, cut), log.slice(cut)].map((batches) => {
        const states = new ProducerStates();
        for (const batch of batches) states.note(batch);
        return states;
      });
      first.goOn(second, log.at(-1)?.nextOffset ?? 0);
      assert.is(first.end, whole.end);
      assert.equal(new Map(first.entries()), new Map(whole.entries()));
    }),
  );
});

test('of very many producers those who have written least lately are forgotten, one for each that comes', () => {
  const partition = new Partition();
  const more = 1_300;
  for (let producerId = 0; producerId < PRODUCERS_A_PARTITION_MAX; producerId++)
    partition.offer({ producerId, sequence: 0 });
  // Every third of those that would be first to go writes on.
  for (let producerId = 0; producerId < more; producerId += 3) partition.offer({ producerId, sequence: 1 });
  for (let n = 0; n < more; n++) {
    partition.offer({ producerId: PRODUCERS_A_PARTITION_MAX + n, sequence: 0 });
    // One that was to go soon writes on at the last moment.
    if (n === 400) partition.offer({ producerId: 1_000, sequence: 1 });
  }
  assert.is(partition.states.size, PRODUCERS_A_PARTITION_MAX);
  const silent = (producerId: number): boolean => producerId % 3 !== 0 || producerId >= more;
  const gone = Array.from({ length: PRODUCERS_A_PARTITION_MAX }, (_, producerId) => producerId)
    .filter((producerId) => silent(producerId) && producerId !== 1_000)
    .slice(0, more);
  const left = new Set([...partition.states.entries()].map(([producerId]) => producerId));
  for (const producerId of gone) assert.not(left.has(producerId), `${producerId}`);
  assert.ok(left.has(1_000) && left.has(0));
});

test.run();
