import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import type { PartitionAssignment } from '../../src/runtime/directory.ts';
import { ReplicaOpening } from '../../src/runtime/replica-opening.ts';
import { withDirectory } from './directory-fixtures.ts';
import { threadSurroundings } from './surroundings-fixtures.ts';

/** How a broker finds a partition that stands in the metadata, and of which its directory has nothing. */
async function openMissing(epoch: number, others: Partial<PartitionAssignment>): Promise<string> {
  let state = '';
  await withDirectory(async (path) => {
    const home = { path, isTemporary: false, wasPowerLost: false };
    const data = { id: 1, durability: 'os', home } as const;
    const opening = new ReplicaOpening(data, threadSurroundings, () => {}, undefined);
    opening.expect(1);
    const info = { id: 0, topic: 't', partition: 0, replicas: [1, 2], isr: [1, 2], leader: -1, epoch };
    const topic = { config: topicConfig({}), topicId: 'AAAAAAAAAAAAAAAAAAAAAA' };
    const { opened } = await opening.open({ info, ...topic, isKept: true, ...others });
    opening.files.closeAll();
    assert.is(existsSync(join(path, 't-0')), opened.state === 'online');
    state = opened.state;
  });
  return state;
}

test('a partition that somebody has led since its first reign is missed where nothing is there of it', async () => {
  assert.is(await openMissing(1, {}), 'damaged');
  assert.is(await openMissing(0, {}), 'online');
});

test('of a topic that nobody has seen yet nothing is missed, though its brokers have died since it was written down', async () => {
  assert.is(await openMissing(1, { isUnseen: true }), 'online');
  assert.is(await openMissing(3, { isUnseen: true }), 'online');
});

test.run();
