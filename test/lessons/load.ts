// Producers that go on whatever happens, and a look at what has become of all that was acknowledged to them.
import * as assert from 'uvu/assert';
import type { Acks, Cluster } from '../../src/index.ts';
import { partitionOf, sleep, text } from '../threads/fixtures.ts';

/** Records that were sent one by one, and where they were said to lie. */
export class Load {
  readonly acknowledged = new Map<number, string>();
  readonly #cluster: Cluster;
  readonly #senders: Promise<void>[];
  #isOver = false;

  constructor(cluster: Cluster, senders = 3, acks: Acks = 'all') {
    this.#cluster = cluster;
    const producer = cluster.producer({ acks });
    this.#senders = Array.from({ length: senders }, async (_, sender) => {
      for (let n = 0; !this.#isOver; n++) {
        const value = `${sender}-${n}`;
        try {
          const { offset } = await producer.send('t', { value });
          this.acknowledged.set(offset, value);
        } catch {
          // What has become of it nobody knows.
          await sleep(2);
        }
      }
    });
  }

  /** Lets some more be acknowledged. */
  async more(records = 50): Promise<void> {
    const { size } = this.acknowledged;
    for (let waitedMs = 0; this.acknowledged.size < size + records; waitedMs += 2) {
      assert.ok(waitedMs < 20_000, 'nothing is acknowledged any more');
      await sleep(2);
    }
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#senders);
  }

  /** Each lies where it was said to lie, and once. */
  async assertKept(): Promise<void> {
    const values = await valuesOf(this.#cluster);
    for (const [offset, value] of this.acknowledged)
      assert.is(values[offset], value, `what was acknowledged at ${offset} is not there`);
  }
}

/** All committed values of the one partition, by their offsets. */
export async function valuesOf(cluster: Cluster): Promise<(string | null)[]> {
  const values: (string | null)[] = [];
  const { hwm } = partitionOf(cluster);
  for (let offset = 0; offset < hwm; ) {
    const { records, nextOffset } = await cluster.read('t', { partition: 0, offset });
    for (const record of records) values[record.offset] = text(record.value);
    offset = nextOffset;
  }
  return values;
}
