// What a user's first program does. check-production.mjs copies it into an installed package, checks it there
// against the package's own types, and runs it.
import { Cluster } from 'tidemark';

const cluster = await Cluster.start({ brokers: 3, durability: 'memory' });
try {
  await cluster.admin.createTopic('greetings', { partitions: 1, replicationFactor: 3 });
  const producer = cluster.producer({ acks: 'all' });
  const { partition, offset } = await producer.send('greetings', { key: 'first', value: 'hello' });
  await producer.close();
  const { records } = await cluster.read('greetings', { partition, offset, maxBytes: 1 << 20, waitMs: 5000 });
  const value = records.map((record) => Buffer.from(record.value ?? []).toString()).join();
  if (value !== 'hello') throw new Error(`read back "${value}" in place of "hello"`);
  console.log(`three brokers kept a record and gave it back from offset ${offset}`);
} finally {
  await cluster.close();
}
