// What a broker does with a client that writes what no client writes, and what that client hears of it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ChannelWriter, ringBell } from '../../native-free/sharedarraybuffer-utils/index.ts';
import { connect } from '../../src/index.ts';
import { ArenaView } from '../../src/runtime/arena.ts';
import { AttachClient } from '../../src/runtime/attach-channel.ts';
import { channelsOf } from '../../src/runtime/client-frames.ts';
import type { ThreadAttachment } from '../../src/runtime/coordinator.ts';
import { assertRefused } from '../client/refusals.ts';
import { partitionOf, until, withCluster } from './fixtures.ts';

/** Attaches, and tells where its links lie. */
async function attached<T>(attach: () => Promise<T>): Promise<[T, ThreadAttachment]> {
  const { ask } = AttachClient.prototype;
  let seen: ThreadAttachment | undefined;
  AttachClient.prototype.ask = async function (name, argument) {
    const answer = await ask.call(this, name, argument);
    if (name === 'attach') seen = answer as ThreadAttachment;
    return answer;
  };
  try {
    return [await attach(), seen as unknown as ThreadAttachment];
  } finally {
    AttachClient.prototype.ask = ask;
  }
}

test('a broker that is sent garbage lives on, and whoever has sent it is told so and can go on elsewhere', () =>
  withCluster({}, async (cluster) => {
    const [client, { memory, attachment }] = await attached(() => connect(cluster.handle));
    const { leader } = partitionOf(cluster);
    const endpoint = attachment.endpoints.find(({ broker }) => broker === leader);
    const { addresses } = endpoint as NonNullable<typeof endpoint>;
    const { request, end } = channelsOf(addresses);
    const { int32, buffer } = new ArenaView(memory).reach(end);
    const pending = client.producer({ deliveryTimeoutMs: 1_500 });
    const requests = new ChannelWriter(buffer, request, addresses.requestCapacity);
    requests.reserve(64, 99);
    requests.commit();
    requests.publish();
    ringBell(int32, addresses.brokerBell / 4);
    const counted = (): number =>
      cluster.metrics().find(({ broker }) => broker === leader)?.counters.corruptRequests ?? 0;
    await until('it is counted', () => counted() === 1);
    // It may lie in the channel already when the client hears of the end: then nobody knows.
    await assertRefused(
      pending.send('t', { value: 'v' }),
      'BROKER_FAILED',
      /which leads partition 0 of 't', is not running\. (Nothing was written|Whether they were written is not known)/,
    );
    await cluster.producer().send('t', { value: 'v' });
    const other = cluster.status().brokers.find(({ id }) => id !== leader)?.id as number;
    await cluster.admin.createTopic('u', { partitions: 3, replicationFactor: 3 });
    const partition = cluster.status().topics[1].partitions.findIndex((each) => each.leader === other);
    const { hwm } = await client.read('u', { partition, offset: 0 });
    assert.is(hwm, 0);
    assert.equal(
      cluster.status().brokers.map(({ state }) => state),
      ['running', 'running', 'running'],
    );
    await client.close();
  }));

test.run();
