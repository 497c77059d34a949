import type { Cluster, TopicConfigInput } from '../../src/index.ts';
import { sleep } from '../threads/fixtures.ts';
import { TOPIC } from './clients.ts';

const LIMIT_MS = 60_000;
const RETRY_MS = 100;

/** On a machine that is busy with others some brokers may be taken for dead when they have just begun. */
export async function makeTopic(
  cluster: Cluster,
  topic: {
    readonly partitions: number;
    readonly replicationFactor: number;
    readonly config: TopicConfigInput;
  },
): Promise<void> {
  const untilMs = performance.now() + LIMIT_MS;
  for (;;) {
    try {
      await cluster.admin.createTopic(TOPIC, topic);
      return;
    } catch (error) {
      const { code } = error as { readonly code?: string };
      if (code !== 'INVALID_REPLICATION_FACTOR' || performance.now() > untilMs) throw error;
    }
    await sleep(RETRY_MS);
  }
}
