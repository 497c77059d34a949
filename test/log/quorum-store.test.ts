import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Entry, Persist } from '../../src/core/raft/index.ts';
import {
  QUORUM_DIRECTORY,
  QuorumStore,
  QuorumStoreError,
  type QuorumStoreSettings,
} from '../../src/log/quorum-store.ts';
import { FaultyDisk } from './faulty-disk.ts';

const self = { id: 1, directoryId: 'directory-1' };
const configuration = { voters: [self] };
const LOG = `${QUORUM_DIRECTORY}/00000000000000000001.log`;
const SEGMENT_BYTES = 16_384;

function open(disk: FaultyDisk, settings: Partial<QuorumStoreSettings> = {}): Promise<QuorumStore> {
  return QuorumStore.open(disk, {
    clusterId: 'test',
    self,
    isDurable: true,
    wasPowerLost: false,
    wallClockMs: () => 0,
    segmentBytes: SEGMENT_BYTES,
    ...settings,
  });
}

/** What a step asks for, but for what a test sets. */
function persist(store: QuorumStore, given: Partial<Persist>): Promise<void> {
  return store.persist({
    hardState: undefined,
    snapshot: undefined,
    restartAt: undefined,
    truncateFrom: undefined,
    entries: [],
    firstIndex: undefined,
    ...given,
  });
}

function entries(from: number, to: number, term: number, bytes = 0): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, n) => {
    const data = Buffer.from(`entry ${from + n} of term ${term}`.padEnd(bytes, '.'));
    return { index: from + n, term, kind: 'data', data };
  });
}

function snapshot(index: number, term: number) {
  return { index, term, configuration, data: Buffer.from(`the state after ${index}`) };
}

/** `index/term` of all entries; or why the files cannot be used. Whatever else goes wrong is thrown. */
async function found(disk: FaultyDisk, settings?: Partial<QuorumStoreSettings>): Promise<string> {
  try {
    const store = await open(disk, settings);
    store.release();
    return store.state.entries.map(({ index, term }) => `${index}/${term}`).join(' ');
  } catch (error) {
    if (error instanceof QuorumStoreError) return error.reason;
    throw error;
  }
}

/** What each flip of a bit of a file comes to, with the number of the bit; those that are found to be damage left out. */
async function acceptedFlips(disk: FaultyDisk, file: string, step = 1): Promise<string[]> {
  const accepted: string[] = [];
  const bits = 8 * (disk.snapshot().get(file)?.length ?? 0);
  assert.ok(bits > 0, `${file} is there`);
  for (let bit = 0; bit < bits; bit += step) {
    const flipped = disk.kill();
    flipped.flipBit(file, bit);
    const outcome = await found(flipped);
    if (outcome !== 'damaged') accepted.push(`byte ${bit >> 3}: ${outcome}`);
  }
  return accepted;
}

async function threeTerms(disk: FaultyDisk): Promise<QuorumStore> {
  const store = await open(disk);
  for (const term of [1, 2, 3]) {
    const first = 2 * term - 1;
    await persist(store, { hardState: { term, vote: self }, entries: entries(first, first + 1, term) });
  }
  return store;
}

test('what was persisted is there again, each entry with its term, kind and data', async () => {
  const disk = new FaultyDisk();
  const store = await threeTerms(disk);
  await persist(store, { entries: [{ index: 7, term: 3, kind: 'noop', data: new Uint8Array(0) }] });
  const { state } = await open(disk.kill());
  assert.is(
    state.entries.map(({ index, term }) => `${index}/${term}`).join(' '),
    '1/1 2/1 3/2 4/2 5/3 6/3 7/3',
  );
  assert.is(Buffer.from(state.entries[3].data).toString(), 'entry 4 of term 2');
  assert.is(state.entries[6].kind, 'noop');
  assert.equal(state.hardState, { term: 3, vote: self });
});

test('after a clean end every single flipped bit of the log and of the state is found', async () => {
  const disk = new FaultyDisk();
  const store = await threeTerms(disk);
  await store.close();
  for (const file of [LOG, `${QUORUM_DIRECTORY}/quorum-state`]) {
    const accepted = await acceptedFlips(disk, file);
    assert.equal(accepted, [], file);
  }
});

test('after a crash a flipped bit costs the last batch at most, and never gives another term', async () => {
  const disk = new FaultyDisk();
  await threeTerms(disk);
  for (const outcome of await acceptedFlips(disk, LOG, 3))
    assert.match(outcome, /: 1\/1 2\/1 3\/2 4\/2 5\/3$/);
});

test('every flipped bit of a snapshot is found, its index and term included', async () => {
  const disk = new FaultyDisk();
  const store = await open(disk);
  // A log of one term, to which many an index would fit.
  await persist(store, { hardState: { term: 30, vote: undefined }, entries: entries(1, 20, 3) });
  await persist(store, { snapshot: snapshot(10, 3), firstIndex: 2 });
  const file = disk.files().find((name) => name.endsWith('.checkpoint')) as string;
  assert.equal(await acceptedFlips(disk, file), []);
});

test('a log that lost its tail after a clean end is damaged, but one that was truncated since is not', async () => {
  const disk = new FaultyDisk();
  await (await threeTerms(disk)).close();
  const lost = disk.kill();
  const log = lost.open(LOG);
  log.truncate(log.size - 1);
  log.close();
  assert.is(await found(lost), 'damaged');
  const gone = disk.kill();
  gone.remove(LOG);
  assert.is(await found(gone), 'damaged');
  const again = await open(disk);
  await persist(again, { truncateFrom: 5 });
  assert.is(await found(disk.kill()), '1/1 2/1 3/2 4/2');
});

test('opened and closed without a change, a voter keeps what it knows of its clean end', async () => {
  const disk = new FaultyDisk();
  await (await threeTerms(disk)).close();
  await (await open(disk)).close();
  await (await open(disk)).release();
  const log = disk.open(LOG);
  log.truncate(log.size - 1);
  log.close();
  assert.is(await found(disk), 'damaged');
});

test('a crash at any point of taking over a leader’s snapshot leaves the old log or the new one', async () => {
  for (const end of ['kill', 'crash'] as const) {
    for (let seed = 1; seed <= (end === 'kill' ? 1 : 8); seed++) {
      const images: FaultyDisk[] = [];
      let isObserved = false;
      const disk = new FaultyDisk({
        seed,
        observe: (kind) => {
          if (isObserved && kind !== 'read' && kind !== 'list') images.push(disk[end]());
        },
      });
      const store = await open(disk);
      // Several segments, so that some of them may be gone and others not.
      await persist(store, { hardState: { term: 3, vote: undefined }, entries: entries(1, 20, 3, 3_000) });
      isObserved = true;
      await persist(store, {
        hardState: { term: 5, vote: undefined },
        snapshot: snapshot(50, 5),
        restartAt: 51,
        entries: entries(51, 52, 5),
      });
      isObserved = false;
      assert.ok(images.length > 5);
      for (const image of images) {
        const outcome = await found(image, { wasPowerLost: end === 'crash' });
        const isOld = outcome.startsWith('1/3 2/3 ') && outcome.endsWith(' 20/3');
        assert.ok(isOld || ['', '51/5', '51/5 52/5'].includes(outcome), `${end} ${seed}: ${outcome}`);
      }
    }
  }
});

test('a log that does not have what the own snapshot beside it was made of is damaged', async () => {
  const disk = new FaultyDisk();
  const store = await threeTerms(disk);
  await persist(store, { snapshot: snapshot(4, 2), firstIndex: 2 });
  const flipped = disk.kill();
  flipped.flipBit(LOG, 8 * 90);
  assert.is(await found(flipped), 'damaged');
  const gone = disk.kill();
  gone.remove(LOG);
  assert.is(await found(gone), 'damaged');
});

test('damage in a segment that opening the log does not scan is found', async () => {
  const disk = new FaultyDisk();
  const store = await open(disk);
  await persist(store, { hardState: { term: 3, vote: undefined }, entries: entries(1, 20, 3, 3_000) });
  await persist(store, { snapshot: snapshot(18, 3), firstIndex: 1 });
  await store.close();
  assert.ok(disk.files().filter((name) => name.endsWith('.log')).length > 2);
  disk.flipBit(LOG, 8 * 4_000);
  assert.is(await found(disk), 'damaged');
});

test('files of terms that the state does not know, as a power cut may leave them without syncs, are damaged', async () => {
  let damages = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const disk = new FaultyDisk({ seed });
    const store = await open(disk, { isDurable: false });
    await persist(store, { hardState: { term: 1, vote: self }, entries: entries(1, 2, 1) });
    await persist(store, { snapshot: snapshot(2, 1), firstIndex: 1 });
    await persist(store, { hardState: { term: 2, vote: self }, entries: entries(3, 3, 2) });
    const outcome = await found(disk.crash(), { isDurable: false, wasPowerLost: true });
    assert.ok(['damaged', '', '1/1', '1/1 2/1', '1/1 2/1 3/2'].includes(outcome), outcome);
    if (outcome === 'damaged') damages += 1;
  }
  assert.ok(damages > 0);
});

test('a directory that was made just now outlives a power cut', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const disk = new FaultyDisk({ seed });
    await threeTerms(disk);
    assert.is(await found(disk.crash(), { wasPowerLost: true }), '1/1 2/1 3/2 4/2 5/3 6/3');
  }
});

test('once opening has failed, no file stays open', async () => {
  const disk = new FaultyDisk();
  const store = await threeTerms(disk);
  store.release();
  disk.fail({ kind: 'read', nth: 4, code: 'EIO' });
  const error = await open(disk).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  assert.match(String(error), /EIO/);
  assert.is(await found(disk), '1/1 2/1 3/2 4/2 5/3 6/3');
});

test.run();
