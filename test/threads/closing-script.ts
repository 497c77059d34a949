// A user's whole program, run as a process of its own: it must end by itself once all is closed, and not before.
import { Cluster, connect } from '../../src/index.ts';

const cluster = await Cluster.start({ brokers: 3, durability: 'memory' });
await cluster.admin.createTopic('t', { partitions: 2 });
const producer = cluster.producer();
await producer.sendBatch('t', [{ value: 'one' }, { value: 'two' }]);
const client = await connect(cluster.handle);
await client.producer({ acks: 1 }).send('t', { value: 'three' });
await client.close();
// Nothing but these holds the process now, and both end by themselves.
await cluster.read('t', { partition: 0, offset: 0, waitMs: 50 });
void cluster.read('t', { partition: 1, offset: 0, waitMs: 60_000 }).catch(() => {});
const last = producer.send('t', { value: 'last' });
await cluster.close();
await last;
process.stdout.write(`closed ${Date.now()}\n`);
