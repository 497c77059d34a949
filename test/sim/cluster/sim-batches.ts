import type { SimClient } from './sim-client.ts';

const RECORDS_MAX = 3;
/** The header of a batch, and what a record has besides its value, at most. */
const OVERHEAD_BYTES = 200;

/** Records that go together. */
export interface NewBatch {
  readonly partition: number;
  readonly ids: readonly string[];
  readonly values: readonly Buffer[];
}

/** Numbers the records of a producer, and gathers some of them, of any size that fits a ring and a channel. */
export class NumberedRecords {
  readonly #client: SimClient;
  #records = 0;

  constructor(client: SimClient) {
    this.#client = client;
  }

  next(): NewBatch {
    const { dice, world, name } = this.#client;
    const { plan } = world;
    const partition = dice.below(plan.partitions);
    const ids: string[] = [];
    const values: Buffer[] = [];
    let left = Math.min(plan.ringBytes / 4, plan.channelBytes / 4) - OVERHEAD_BYTES;
    for (let n = 1 + dice.below(RECORDS_MAX); n > 0; n--) {
      const size = Math.min(dice.pick(plan.valueBytes), left - OVERHEAD_BYTES / 2);
      if (size < 10 && ids.length > 0) break;
      this.#records += 1;
      const id = `${name}-${this.#records}`;
      ids.push(id);
      values.push(Buffer.from(`${id}:`.padEnd(size, '.')));
      left -= size + OVERHEAD_BYTES / 4;
    }
    return { partition, ids, values };
  }
}
