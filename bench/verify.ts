import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, TidemarkError } from '../src/index.ts';

const PIECE_BYTES = 1 << 20;
const CATCH_UP_MS = 10_000;

/** What is wrong is told where it is found: the table has only a no. */
function differs(what: string): false {
  console.error(`bench: ${what}`);
  return false;
}

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
  if (ends[0].leo !== ends[1].leo) {
    const [mine, theirs] = ends.map(({ leo }) => leo);
    return differs(`the logs of partition ${partition} of '${topic}' end at ${mine} and ${theirs}`);
  }
  let offset = Math.max(ends[0].logStart, ends[1].logStart);
  while (offset < ends[0].leo) {
    const [mine, theirs] = await Promise.all(
      [leader, follower].map((broker) =>
        cluster.inspect(topic, { broker, partition, offset, maxBytes: PIECE_BYTES }),
      ),
    );
    // Retention has dropped something of one of them meanwhile: that one's piece begins elsewhere.
    const start = Math.max(mine.logStart, theirs.logStart);
    if (start > offset) {
      offset = start;
      continue;
    }
    // Segments end at different places in different replicas: what both pieces hold is compared.
    const length = Math.min(mine.bytes.length, theirs.bytes.length);
    if (
      length === 0 ||
      Buffer.compare(mine.bytes.subarray(0, length), theirs.bytes.subarray(0, length)) !== 0
    ) {
      const where = `partition ${partition} of '${topic}', from offset ${offset} on`;
      return differs(`brokers ${leader} and ${follower} hold different bytes of ${where}`);
    }
    offset = Math.min(mine.nextOffset, theirs.nextOffset);
  }
  return true;
}

/** A broker whose device keeps it waiting for seconds is taken for dead for a while: then everything is looked at anew. */
const TRIES_MAX = 5;

/**
 * Whether every follower holds, byte for byte, what its leader holds (as far back as both keep records), and the
 * leaders hold exactly as many records as were acknowledged.
 */
export async function replicasEqual(cluster: Cluster, topic: string, acknowledged: number): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    try {
      return await lookAtAll(cluster, topic, acknowledged);
    } catch (error) {
      if (!(error instanceof TidemarkError && error.retriable) || tries === TRIES_MAX) throw error;
      await sleep(1_000 * tries);
    }
  }
}

async function lookAtAll(cluster: Cluster, topic: string, acknowledged: number): Promise<boolean> {
  if (!(await replicasCaughtUp(cluster))) return differs(`replicas lag after ${CATCH_UP_MS} ms`);
  const { partitions } = cluster.status().topics.find(({ name }) => name === topic) ?? { partitions: [] };
  const committed = partitions.reduce((sum, { hwm }) => sum + hwm, 0);
  if (committed !== acknowledged)
    return differs(`${acknowledged} records were acknowledged, and ${committed} are committed`);
  for (const { id, leader, replicas } of partitions) {
    for (const follower of replicas) {
      if (follower !== leader && !(await replicaEquals(cluster, topic, id, leader, follower))) return false;
    }
  }
  return true;
}
