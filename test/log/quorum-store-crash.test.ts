import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Entry, newOutput, type Persist } from '../../src/core/raft/index.ts';
import { type QuorumState, QuorumStore } from '../../src/log/quorum-store.ts';
import { FaultyDisk } from './faulty-disk.ts';

const self = { id: 1, directoryId: 'directory-1' };
const CRASHES = 40;

function open(disk: FaultyDisk, wasPowerLost = false): Promise<QuorumStore> {
  const settings = { clusterId: 'test', self, isDurable: true, wasPowerLost, wallClockMs: () => 0 };
  return QuorumStore.open(disk, settings);
}

/** What a step asks for in term 2, where the rest is nothing. */
function persistOf(some: Partial<Persist>): Persist {
  return { ...newOutput().persist, hardState: { term: 2, vote: self }, ...some };
}

function entriesOf(term: number, from: number, to: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, n) => {
    const index = from + n;
    return { index, term, kind: 'data', data: Buffer.from(`entry ${index} of term ${term}`) } as const;
  });
}

function describe({ snapshot, entries }: QuorumState): string {
  const held = entries.filter(({ index }) => index > (snapshot?.index ?? 0));
  return `snapshot ${snapshot?.index ?? 0}, ${held.map(({ index, term }) => `${index}/${term}`).join(' ')}`;
}

test('a log whose first entries were dropped with their terms can be opened again', async () => {
  const disk = new FaultyDisk();
  const store = await open(disk);
  await store.persist(persistOf({ entries: [...entriesOf(1, 1, 3), ...entriesOf(2, 4, 9)] }));
  const snapshot = { index: 7, term: 2, configuration: { voters: [self] }, data: Buffer.from('state') };
  await store.persist(persistOf({ snapshot, firstIndex: 6 }));
  for (const [after, wasPowerLost] of [
    [disk.kill(), false],
    [disk.crash(), true],
  ] as const) {
    assert.is(describe((await open(after, wasPowerLost)).state), 'snapshot 7, 8/2 9/2');
  }
});

test('what a power cut has kept of a new term can be opened again and again', async () => {
  const disk = new FaultyDisk({ seed: 3 });
  const store = await open(disk);
  await store.persist(persistOf({ entries: entriesOf(1, 1, 3) }));
  disk.holdSyncs();
  void store.persist(persistOf({ hardState: undefined, entries: entriesOf(2, 4, 4) }));
  let kept = 0;
  for (let crash = 0; crash < CRASHES; crash++) {
    const after = disk.crash();
    const once = describe((await open(after, true)).state);
    const again = describe((await open(after.kill())).state);
    assert.is(again, once);
    assert.match(once, /^snapshot 0, 1\/1 2\/1 3\/1( 4\/2)?$/);
    if (once.endsWith('4/2')) kept += 1;
  }
  assert.ok(kept > 0, 'some of them have kept the entry');
});

test.run();
