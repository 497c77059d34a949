import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../src/index.ts';

const PIECE_BYTES = 1 << 20;
const CATCH_UP_MS = 10_000;

/** Waits until every replica has what its leader has. */
async function replicasCaughtUp(cluster: Cluster): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < CATCH_UP_MS; waitedMs += 10) {
    const partitions = cluster.status().topics.flatMap((topic) => topic.partitions);
    if (partitions.every(({ leo, hwm }) => Object.values(leo).every((end) => end === hwm))) return true;
    await sleep(10);
  }
  return false;
}

async function replicaEquals(
  cluster: Cluster,
  topic: string,
  partition: number,
  leader: number,
  follower: number,
): Promise<boolean> {
  const ends = await Promise.all(
    [leader, follower].map((broker) => cluster.inspect(topic, { broker, partition, maxBytes: 1 })),
  );
  if (ends[0].leo !== ends[1].leo) return false;
  let offset = Math.max(ends[0].logStart, ends[1].logStart);
  while (offset < ends[0].leo) {
    const [mine, theirs] = await Promise.all(
      [leader, follower].map((broker) =>
        cluster.inspect(topic, { broker, partition, offset, maxBytes: PIECE_BYTES }),
      ),
    );
    // Segments end at different places in different replicas: what both pieces hold is compared.
    const length = Math.min(mine.bytes.length, theirs.bytes.length);
    if (
      length === 0 ||
      Buffer.compare(mine.bytes.subarray(0, length), theirs.bytes.subarray(0, length)) !== 0
    ) {
      return false;
    }
    offset = Math.min(mine.nextOffset, theirs.nextOffset);
  }
  return true;
}

/**
 * Whether every follower holds, byte for byte, what its leader holds (as far back as both keep records), and the
 * leaders hold exactly as many records as were acknowledged.
 */
export async function replicasEqual(cluster: Cluster, topic: string, acknowledged: number): Promise<boolean> {
  if (!(await replicasCaughtUp(cluster))) return false;
  const { partitions } = cluster.status().topics.find(({ name }) => name === topic) ?? { partitions: [] };
  if (partitions.reduce((sum, { hwm }) => sum + hwm, 0) !== acknowledged) return false;
  for (const { id, leader, replicas } of partitions) {
    for (const follower of replicas) {
      if (follower !== leader && !(await replicaEquals(cluster, topic, id, leader, follower))) return false;
    }
  }
  return true;
}
