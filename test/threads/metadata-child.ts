// A process that changes topics until it is killed, and says line by line what was acknowledged:
//   node metadata-child.js DATA_DIR RUN DURABILITY
//   ready                                 the cluster has started
//   begun <lane> <change>                 a change is asked for; it may come to be or not
//   done <lane>                           it was acknowledged
// A lane is a name of its own, with one change at a time; several lanes are in flight.
import { Cluster, type Durability } from '../../src/index.ts';
import { type Change, changeAfter, type State, stateAfter, topicOf } from './metadata-changes.ts';

const [dataDir, run, durability] = process.argv.slice(2);
const LANES = 8;

const cluster = await Cluster.start({ brokers: 3, dataDir, durability: durability as Durability });
process.stdout.write('ready\n');

async function make(name: string, change: Change): Promise<void> {
  const { admin } = cluster;
  switch (change.what) {
    case 'create':
      await admin.createTopic(name, {
        partitions: change.partitions,
        replicationFactor: 3,
        config: { 'retention.ms': change.retentionMs },
      });
      break;
    case 'delete':
      await admin.deleteTopic(name);
      break;
    case 'widen':
      await admin.createPartitions(name, change.partitions);
      break;
    case 'alter':
      await admin.alterTopicConfig(name, { set: { 'retention.ms': change.retentionMs } });
      break;
  }
}

async function lane(number: number): Promise<never> {
  const name = `lane-${number}`;
  let topic: State = await topicOf(cluster, name);
  for (let n = 0; ; n++) {
    const change = changeAfter(topic, `${run} ${number} ${n}`);
    process.stdout.write(`begun ${name} ${JSON.stringify(change)}\n`);
    await make(name, change);
    process.stdout.write(`done ${name}\n`);
    topic = stateAfter(topic, change);
  }
}

await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
