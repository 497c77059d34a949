import type { Cluster } from '../../src/index.ts';
import { numberIn, TOPIC } from './clients.ts';
import type { FinalLog } from './history.ts';

/** Everything below the HWMs, as the leaders have it. */
export async function readLogs(cluster: Cluster, partitions: number): Promise<FinalLog[]> {
  const logs: FinalLog[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const offsets: number[] = [];
    const values: number[] = [];
    let end = 0;
    for (let from = 0; ; ) {
      const { records, nextOffset, hwm } = await cluster.read(TOPIC, { partition, offset: from });
      for (const record of records) {
        offsets.push(record.offset);
        values.push(numberIn(record.value));
      }
      end = hwm;
      if (nextOffset === from) break;
      from = nextOffset;
    }
    logs.push({ partition, offsets, values, hwm: end });
  }
  return logs;
}
