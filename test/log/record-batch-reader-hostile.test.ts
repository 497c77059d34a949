import { gunzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkBatch, checkProducedBatch, nextOffset, readRecordCount } from '../../src/log/record-batch.ts';
import { batchFaultSentence, CorruptBatchError } from '../../src/log/record-batch-fault.ts';
import { type Decompress, readRecords } from '../../src/log/record-batch-reader.ts';
import { writeVarint } from '../../src/log/varint.ts';
import { goldenBatches } from './record-batch-fixtures.ts';

const SEED = 20_251_120;
const MUTATIONS = 30_000;
const DECOMPRESSED_BYTES_MAX = 1 << 16;
const MARGIN_BYTES = 64;

/** Marsaglia's xorshift: the same mutations on every machine, and a seed to print. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const gunzip: Decompress = (_codec, section, maxOutputLength) => gunzipSync(section, { maxOutputLength });

const mutators: ((bytes: Uint8Array, at: number, random: (below: number) => number) => Uint8Array)[] = [
  (bytes, at, random) => {
    bytes[at] ^= 1 << random(8);
    return bytes;
  },
  (bytes, at, random) => {
    bytes[at] = random(256);
    return bytes;
  },
  (bytes, at, random) => bytes.fill([0, 0x7f, 0x80, 0xff][random(4)], at, at + 1 + random(12)),
  (bytes, at) => bytes.slice(0, at),
  (bytes, at, random) => bytes.copyWithin(at, random(bytes.length), random(bytes.length)),
  // A length or a delta that is wrong and well-formed goes deeper than noise.
  (bytes, at, random) => {
    const edges = [-1, -2, 0, 1, 63, 64, 8191, 2 ** 31 - 1, -(2 ** 31), random(1000), -random(1000)];
    if (at + 5 <= bytes.length) writeVarint(bytes, at, edges[random(edges.length)]);
    return bytes;
  },
];

/** The header's length follows a cut half of the time, so that the fault lies deeper than the length. */
function mutate(original: Uint8Array, random: (below: number) => number): Uint8Array {
  let bytes: Uint8Array = original.slice();
  for (let change = 1 + random(3); change > 0 && bytes.length > 0; change--) {
    // The header is small beside the records, and yet gets a quarter of the changes.
    const at = random(random(4) === 0 ? Math.min(61, bytes.length) : bytes.length);
    bytes = mutators[random(mutators.length)](bytes, at, random);
  }
  if (bytes.length >= 12 && random(2) === 0)
    new DataView(bytes.buffer, bytes.byteOffset).setInt32(8, bytes.length - 12);
  return bytes;
}

interface Outcome {
  readonly fault: number;
  readonly visited: string;
  readonly error: string;
}

/** Reads the bytes between margins of the given byte, and holds what came out against what cannot be. */
function outcomeOf(mutated: Uint8Array, margin: number): Outcome {
  const memory = new Uint8Array(new SharedArrayBuffer(mutated.length + 2 * MARGIN_BYTES)).fill(margin);
  memory.set(mutated, MARGIN_BYTES);
  const end = MARGIN_BYTES + mutated.length;
  const fault = checkBatch(memory, MARGIN_BYTES, mutated.length, mutated.length);
  const produced = checkProducedBatch(memory, MARGIN_BYTES, mutated.length, mutated.length);
  if (fault !== 0) assert.is(produced, fault, batchFaultSentence(fault));
  let visited = '';
  let records = 0;
  let lastOffset = -1;
  let bytes = 0;
  let error = '';
  try {
    const options = {
      decompress: gunzip,
      decompressedBytesMax: DECOMPRESSED_BYTES_MAX,
      includeControl: true,
    };
    const next = readRecords(
      memory,
      MARGIN_BYTES,
      end,
      (offset, timestamp, key, value, headers) => {
        assert.ok(offset > lastOffset, 'offsets ascend');
        lastOffset = offset;
        records++;
        for (const data of [key, value, ...headers.map(([, data]) => data)]) bytes += data?.length ?? 0;
        const shown = [key, value, ...headers.flat()].map((data) =>
          data === null ? '-' : Buffer.from(data).toString('latin1'),
        );
        visited += `${offset} ${timestamp} ${shown.join(' ')}\n`;
      },
      options,
    );
    assert.is(records, readRecordCount(memory, MARGIN_BYTES));
    assert.is(next, nextOffset(memory, MARGIN_BYTES));
    assert.ok(lastOffset < next);
  } catch (thrown) {
    if (!(thrown instanceof CorruptBatchError)) throw thrown;
    error = thrown.message;
  }
  assert.ok(
    bytes <= Math.max(mutated.length, DECOMPRESSED_BYTES_MAX),
    'no more bytes come out than there are',
  );
  return { fault, visited, error };
}

test(`${MUTATIONS} mutated batches neither crash nor hang the reader, nor make it look beyond their end`, () => {
  const random = randomFrom(SEED);
  const originals = goldenBatches().filter(({ bytes }) => bytes.length < 4000);
  const sentences = new Set<string>();
  let sound = 0;
  for (let round = 0; round < MUTATIONS; round++) {
    const { bytes } = originals[round % originals.length];
    const mutated = mutate(bytes, random);
    const outcome = outcomeOf(mutated, 0x00);
    assert.equal(outcomeOf(mutated, 0xff), outcome, `seed ${SEED}, round ${round}`);
    if (outcome.error === '') sound++;
    else sentences.add(outcome.error);
  }
  // The mutations are worth something only if they reach every check and leave some batches readable.
  assert.ok(sentences.size >= 15, [...sentences].join('\n'));
  assert.ok(sound > MUTATIONS / 20 && sound < MUTATIONS / 2, `${sound} stayed readable`);
});

test('every cut of a batch is refused', () => {
  for (const { bytes, golden } of goldenBatches()) {
    if (bytes.length > 1000) continue;
    for (let length = 0; length < bytes.length; length++) {
      const error = outcomeOf(bytes.subarray(0, length), 0).error;
      assert.ok(error.length > 0, `${golden.name} cut to ${length}`);
    }
  }
});

test.run();
