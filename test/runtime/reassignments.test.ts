// What administrators ask for, while what they ask about changes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command } from '../../src/core/metadata/commands.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { type ReassignedCluster, Reassignments } from '../../src/runtime/reassignments.ts';
import { TestCluster } from '../core/metadata/fixtures.ts';

const LIMIT_MS = 1_000;

function endMove(metadata: TestCluster, partition: number): void {
  const { id, leader, epoch, partitionEpoch } = metadata.partition('t', partition);
  const isr = [1, 2, 3, 4].map((broker) => ({ broker, epoch: metadata.epochOf(broker) }));
  const proposal = { partition: id, leaderEpoch: epoch, partitionEpoch, isr };
  metadata.run({ type: 'alter-isr', broker: leader, epoch: metadata.epochOf(leader), ...proposal });
}

/** Two partitions on their way to the fourth broker, of which the first gets there before the next command. */
function twoOnTheirWay(): { readonly metadata: TestCluster; readonly reassignments: Reassignments } {
  const metadata = new TestCluster(4);
  metadata.createTopic('t', [
    [1, 2, 3],
    [1, 2, 3],
  ]);
  const targets = [0, 1].map((partition) => ({ topic: 't', partition, replicas: [1, 2, 4] }));
  metadata.run({ type: 'reassign', targets, throttle: undefined });
  let meanwhile = (): void => endMove(metadata, 0);
  const ask = async (command: Command): Promise<unknown> => {
    meanwhile();
    meanwhile = () => undefined;
    return metadata.run(command);
  };
  const cluster = {
    clock: systemClock,
    changes: { ask },
    image: () => metadata.image,
  } as unknown as ReassignedCluster;
  return { metadata, reassignments: new Reassignments(cluster) };
}

test('where all moves are called off, one that ends meanwhile is no fault', async () => {
  const { metadata, reassignments } = twoOnTheirWay();
  await reassignments.cancel(undefined, LIMIT_MS);
  assert.equal(metadata.partition('t', 0).replicas, [1, 2, 4]);
  assert.equal(metadata.partition('t', 1).replicas, [1, 2, 3]);
  assert.equal(reassignments.list(), []);
});

test('who names a move that has ended is told so, and nothing is called off', async () => {
  const { metadata, reassignments } = twoOnTheirWay();
  const named = [0, 1].map((partition) => ({ topic: 't', partition }));
  await reassignments.cancel(named, LIMIT_MS).then(
    () => assert.unreachable('it was called off'),
    (error) => assert.is(error.code, 'NO_REASSIGNMENT_IN_PROGRESS'),
  );
  assert.equal(metadata.partition('t', 1).adding, [4]);
});

test.run();
