// A load that goes on whatever happens, and what has to be found of it afterwards.
import * as assert from 'uvu/assert';
import type { Cluster } from '../../src/index.ts';
import { partitionOf, sleep, text, until } from './fixtures.ts';

/** Until it is ended: then every acknowledged record is where it was said to be. Resolves to how many are committed. */
export function underLoad(cluster: Cluster): { readonly end: () => Promise<number> } {
  const acknowledged = new Map<string, string>();
  const producer = cluster.producer();
  let isOver = false;
  const load = async (name: string): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      const value = `${name} ${n}`;
      try {
        const { partition, offset } = await producer.send('t', { key: value, value });
        acknowledged.set(`${partition} ${offset}`, value);
      } catch (error) {
        // The test has failed meanwhile.
        if ((error as { code?: string }).code === 'CLOSED') return;
        await sleep(1);
      }
    }
  };
  const loads = ['a', 'b', 'c'].map(load);
  const end = async (): Promise<number> => {
    isOver = true;
    await Promise.all(loads);
    const { partitions = [] } = cluster.status().topics.find(({ name }) => name === 't') ?? {};
    // What a call was told to have failed may be committed after it.
    await until('all is committed', () =>
      partitions.every((_, n) => {
        const { hwm, leader, leo } = partitionOf(cluster, n);
        return leader !== -1 && leo[leader] === hwm;
      }),
    );
    const found = new Map<string, string>();
    let total = 0;
    for (const [partition] of partitions.entries()) {
      const { hwm } = partitionOf(cluster, partition);
      total += hwm;
      for (let offset = 0; offset < hwm; ) {
        const read = await cluster.read('t', { partition, offset });
        for (const record of read.records)
          found.set(`${partition} ${record.offset}`, text(record.value) ?? '');
        offset = read.nextOffset;
      }
    }
    for (const [place, value] of acknowledged) assert.is(found.get(place), value, `at ${place}`);
    assert.ok(acknowledged.size > 0);
    return total;
  };
  return { end };
}
