import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Disk } from '../../src/log/disk.ts';
import { partitionDirectory } from '../../src/log/file-names.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { QUORUM_DIRECTORY, QuorumStoreError } from '../../src/log/quorum-store.ts';
import {
  foundSeat,
  hasSeat,
  isSeatDirectory,
  isSeatInOrder,
  type OpenedSeat,
  openSeat,
  setSeatAside,
  unseat,
} from '../../src/runtime/quorum-seats.ts';
import { newUuid } from '../../src/runtime/uuid.ts';
import { FaultyDisk } from '../log/faulty-disk.ts';

const settings = { clusterId: 'test', broker: 2, isDurable: true, wasPowerLost: false };

/** Seats as they are found after a crash at each operation on the disk that `act` brings about. */
async function crashes(
  end: 'kill' | 'crash',
  seed: number,
  act: (disk: FaultyDisk) => Promise<unknown>,
): Promise<FaultyDisk[]> {
  const images: FaultyDisk[] = [];
  const disk = new FaultyDisk({
    seed,
    observe: (kind) => {
      if (kind !== 'read' && kind !== 'list') images.push(disk[end]());
    },
  });
  await act(disk);
  images.push(disk[end]());
  return images;
}

async function persist({ store }: OpenedSeat, count: number): Promise<void> {
  const entries = Array.from({ length: count }, (_, n) => ({
    index: n + 1,
    term: 1,
    kind: 'data' as const,
    data: Buffer.from(`entry ${n + 1}`),
  }));
  await store.persist({
    hardState: { term: 1, vote: undefined },
    snapshot: undefined,
    restartAt: undefined,
    truncateFrom: undefined,
    entries,
    firstIndex: undefined,
  });
}

function corrupt(disk: Disk, name: string, position: number): void {
  const file = disk.open(`${QUORUM_DIRECTORY}/${name}`);
  const [byte] = file.read(position, 1);
  file.write(position, [Uint8Array.of(byte ^ 0xff)]);
  file.close();
}

async function refusalOf(opened: Promise<unknown>): Promise<string> {
  try {
    await opened;
  } catch (error) {
    if (error instanceof QuorumStoreError) return error.reason;
    throw error;
  }
  return 'none';
}

test('a seat that was founded keeps its identity and what was persisted', async () => {
  const disk = new MemoryDisk();
  assert.not(hasSeat(disk));
  const voterId = newUuid();
  await foundSeat(disk, voterId, true);
  assert.ok(hasSeat(disk));
  const first = await openSeat(disk, settings);
  assert.equal(first.member, { id: 2, directoryId: voterId });
  await persist(first, 3);
  await first.store.close();
  const second = await openSeat(disk, settings);
  assert.equal(second.member, first.member);
  assert.equal(
    second.store.state.entries.map(({ data }) => Buffer.from(data).toString()),
    ['entry 1', 'entry 2', 'entry 3'],
  );
  await second.store.close();
});

test('a directory that is new gets an identity that nobody had', async () => {
  const [one, other] = [
    await openSeat(new MemoryDisk(), settings),
    await openSeat(new MemoryDisk(), settings),
  ];
  assert.is.not(one.member.directoryId, other.member.directoryId);
});

test('a crash while a seat is founded leaves one that can be founded again', async () => {
  const voterId = newUuid();
  for (const end of ['kill', 'crash'] as const) {
    for (let seed = 1; seed <= (end === 'kill' ? 1 : 10); seed++) {
      const images = await crashes(end, seed, (disk) => foundSeat(disk, voterId, true));
      assert.ok(images.length > 5);
      for (const image of images) {
        await foundSeat(image, voterId, true);
        const { member, store } = await openSeat(image, settings);
        assert.is(member.directoryId, voterId);
        await store.close();
      }
    }
  }
});

test('a seat that was founded is so after a power cut', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const disk = new FaultyDisk({ seed });
    const voterId = newUuid();
    await foundSeat(disk, voterId, true);
    const founded = await openSeat(disk.crash(), settings);
    assert.is(founded.member.directoryId, voterId);
    founded.store.release();
  }
});

test('a crash after files were set aside leaves all of them or none, and never with the next identity', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    let before = '';
    let after = '';
    const images = await crashes('crash', seed, async (disk) => {
      const first = await openSeat(disk, settings);
      before = first.member.directoryId;
      await persist(first, 3);
      await first.store.close();
      setSeatAside(disk);
      const second = await openSeat(disk, settings);
      after = second.member.directoryId;
      second.store.release();
    });
    for (const image of images) {
      const { member, store } = await openSeat(image, settings);
      if (member.directoryId !== before) assert.is(store.state.entries.length, 0);
      store.release();
    }
    const { member, store } = await openSeat(images.at(-1) as FaultyDisk, settings);
    assert.is(member.directoryId, after);
    store.release();
  }
});

test('a seat that nobody has used is taken back, and one that was used stays', async () => {
  const disk = new MemoryDisk();
  unseat(disk);
  await foundSeat(disk, newUuid(), false);
  unseat(disk);
  assert.not(hasSeat(disk));
  const used = await openSeat(disk, settings);
  await persist(used, 1);
  await used.store.close();
  unseat(disk);
  assert.ok(hasSeat(disk));
});

test('a seat is in order unless its voter has said something and not ended clean', async () => {
  const disk = new MemoryDisk();
  assert.ok(isSeatInOrder(disk));
  await foundSeat(disk, newUuid(), false);
  assert.ok(isSeatInOrder(disk));
  const opened = await openSeat(disk, settings);
  await persist(opened, 2);
  assert.not(isSeatInOrder(disk));
  await opened.store.close();
  assert.ok(isSeatInOrder(disk));
  corrupt(disk, 'quorum-state', 5);
  assert.not(isSeatInOrder(disk));
});

test('damaged files are set aside with the identity that promised what they held', async () => {
  for (const [name, position] of [
    ['00000000000000000001.log', 90],
    ['quorum-state', 20],
    ['voter-id', 3],
    ['voter-id', 25],
  ] as const) {
    const disk = new MemoryDisk();
    const before = await openSeat(disk, settings);
    await persist(before, 3);
    await before.store.close();
    corrupt(disk, name, position);
    assert.is(await refusalOf(openSeat(disk, settings)), 'damaged', name);
    assert.match(setSeatAside(disk), /^memory:__cluster_metadata-0\.damaged-/);
    const after = await openSeat(disk, settings);
    assert.is.not(after.member.directoryId, before.member.directoryId, name);
    assert.equal(after.store.state.entries, [], name);
    assert.is(disk.list('').filter((entry) => isSeatDirectory(entry.slice(0, -1))).length, 2);
    await after.store.close();
  }
});

test("a topic's partition is not taken for what a vote has left, whatever the topic is called", () => {
  for (const topic of [
    '__cluster_metadata-0',
    '__cluster_metadata-0.damaged',
    '__cluster_metadata-0.damaged-1',
  ])
    assert.not(isSeatDirectory(partitionDirectory(topic, 9_999)), topic);
});

test("another cluster's, and another broker's, files are not taken for one's own", async () => {
  for (const other of [
    { ...settings, clusterId: 'another' },
    { ...settings, broker: 3 },
  ]) {
    const disk = new MemoryDisk();
    const before = await openSeat(disk, settings);
    await persist(before, 1);
    await before.store.close();
    assert.is(await refusalOf(openSeat(disk, other)), 'strange');
  }
});

test.run();
