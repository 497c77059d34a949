// A cluster on disk that writes to 900 logs, and says how that went: for a process that may have few files open.
import { replicasEqual } from '../../bench/verify.ts';
import { Cluster } from '../../src/index.ts';

const PARTITIONS = 300;

const cluster = await Cluster.start({ brokers: 3, durability: 'os' });
try {
  await cluster.admin.createTopic('t', { partitions: PARTITIONS, replicationFactor: 3 });
  const producer = cluster.producer();
  let records = 0;
  for (let n = 0; n < 2; n++) {
    const sends = Array.from({ length: PARTITIONS }, (_, key) =>
      producer.send('t', { key: `${key}`, value: '' }),
    );
    records += (await Promise.all(sends)).length;
  }
  const areEqual = await replicasEqual(cluster, 't', records);
  const { brokers, topics } = cluster.status();
  const faults = brokers.filter(({ state }) => state !== 'running').map(({ error }) => error);
  const areInSync = topics[0].partitions.every(({ isr }) => isr.length === 3);
  const outcome = areEqual && areInSync ? 'all replicas in sync' : 'not all replicas in sync';
  console.log([`${records} records, ${outcome}`, ...faults].join('\n'));
} finally {
  await cluster.close();
}
