// Batches of idempotent producers, and what a log is to know of them.
import { ProducerStates } from '../../src/core/producer-states.ts';
import { producedBatch } from '../../src/log/record-batch.ts';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import type { ProducedBatch } from '../../src/types.ts';
import { append, batchAt, type ModelBatch } from './log-fixtures.ts';
import { type Random, seededRandom } from './seeded-random.ts';

export type Known = readonly (readonly [
  producerId: number,
  epoch: number,
  batches: readonly ProducedBatch[],
])[];

/** In an order of their own, since nobody keeps one. */
export function known(states: ProducerStates): Known {
  return [...states.entries()]
    .map(([id, { epoch, batches }]) => [id, epoch, batches] as const)
    .sort(([one], [other]) => one - other);
}

/** What the batches say, all that there ever were and that were not cut. */
export function truth(batches: readonly ModelBatch[]): Known {
  const states = new ProducerStates();
  for (const { bytes } of batches) {
    const produced = producedBatch(bytes, 0);
    if (produced !== undefined) states.note(produced);
  }
  return known(states);
}

/** Producers that go on one after the other, now and then in a new epoch, and batches of others between. */
export class Producers {
  readonly #random: Random;
  readonly #next = new Map<number, { epoch: number; sequence: number }>();

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  batch(base: number, leaderEpoch = 0, valueBytes = 400): ModelBatch {
    const records = 1 + this.#random(4);
    const id = this.#random(5);
    if (id === 4) return batchAt(base, { records, epoch: leaderEpoch, valueBytes });
    const before = this.#next.get(id) ?? { epoch: 0, sequence: 0 };
    const { epoch, sequence } = this.#random(20) === 0 ? { epoch: before.epoch + 1, sequence: 0 } : before;
    this.#next.set(id, { epoch, sequence: sequence + records });
    return batchAt(base, { records, epoch: leaderEpoch, valueBytes, producer: [id, epoch, sequence] });
  }
}

export function appendProduced(
  log: SegmentLog,
  producers: Producers,
  count: number,
  epoch = 0,
): ModelBatch[] {
  return Array.from({ length: count }, () => {
    const batch = producers.batch(log.leo, epoch);
    append(log, batch);
    return batch;
  });
}
