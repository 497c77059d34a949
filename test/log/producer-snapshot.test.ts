import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32cByTable } from '../../native-free/crc32c/index.ts';
import { ProducerStates } from '../../src/core/producer-states.ts';
import { decodeProducers, encodeProducers } from '../../src/log/producer-snapshot.ts';

const batches = fc.array(
  fc.record({
    producerId: fc.nat(5),
    records: fc.integer({ min: 1, max: 1_000 }),
    firstSequence: fc.nat(2 ** 31 - 1),
    timestamp: fc.oneof(fc.constant(-1), fc.nat(2 ** 31), fc.maxSafeNat()),
    gap: fc.nat(3),
  }),
);

function statesOf(
  all: readonly {
    producerId: number;
    records: number;
    firstSequence: number;
    timestamp: number;
    gap: number;
  }[],
): ProducerStates {
  const states = new ProducerStates();
  let leo = 2 ** 40;
  for (const { producerId, records, firstSequence, timestamp, gap } of all) {
    const baseOffset = leo + gap;
    leo = baseOffset + records;
    const producerEpoch = producerId * 100;
    states.note({ producerId, producerEpoch, firstSequence, baseOffset, nextOffset: leo, timestamp });
  }
  return states;
}

test('what is written down is read again', () => {
  fc.assert(
    fc.property(batches, (all) => {
      const states = statesOf(all);
      const place = { offset: states.end, leaderEpoch: 4 };
      const found = decodeProducers(encodeProducers(states, place));
      assert.equal(found?.place, place);
      assert.equal([...(found?.states.entries() ?? [])], [...states.entries()]);
    }),
  );
});

test('a producer of which the epoch alone is known keeps it', () => {
  const states = new ProducerStates();
  states.restore(9, { epoch: 12, batches: [] });
  const found = decodeProducers(encodeProducers(states, { offset: 0, leaderEpoch: -1 }));
  assert.equal([...(found?.states.entries() ?? [])], [...states.entries()]);
});

test('no byte can change unseen, and no end can be missing', () => {
  const bytes = encodeProducers(
    statesOf(
      [1, 2, 1].map((producerId) => ({ producerId, records: 2, firstSequence: 0, timestamp: 1, gap: 0 })),
    ),
    { offset: 6, leaderEpoch: 0 },
  );
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at] ^= 1 << (at % 8);
    assert.is(decodeProducers(damaged), undefined, `byte ${at}`);
    assert.is(decodeProducers(bytes.subarray(0, at)), undefined, `length ${at}`);
  }
});

test('numbers that do not fit one another are refused though their checksum is right', () => {
  const states = statesOf([{ producerId: 1, records: 1, firstSequence: 0, timestamp: 1, gap: 0 }]);
  const bytes = encodeProducers(states, { offset: 1, leaderEpoch: 0 });
  for (const count of [-1, 2, 2 ** 31 - 1]) {
    const strange = Buffer.from(bytes);
    strange.writeInt32BE(count, 6);
    strange.writeUInt32BE(crc32cByTable(strange.subarray(6), 0), 2);
    assert.is(decodeProducers(strange), undefined, `${count} producers`);
    const older = Buffer.from(bytes);
    older.writeInt32BE(count, older.length - 4);
    older.writeUInt32BE(crc32cByTable(older.subarray(6), 0), 2);
    assert.is(decodeProducers(older), undefined, `${count} older batches`);
  }
});

test('numbers that a producer has made up can be written down', () => {
  const states = new ProducerStates();
  states.note({
    producerId: Number.MAX_SAFE_INTEGER,
    producerEpoch: 2 ** 15 - 1,
    firstSequence: 2 ** 31 - 1,
    baseOffset: 0,
    nextOffset: 2 ** 31,
    timestamp: 2 ** 63,
  });
  const found = decodeProducers(encodeProducers(states, { offset: 2 ** 31, leaderEpoch: 0 }));
  assert.is(found?.states.judge(Number.MAX_SAFE_INTEGER, 2 ** 15 - 1, 2 ** 31 - 1, 2 ** 31), 'duplicate');
});

test.run();
