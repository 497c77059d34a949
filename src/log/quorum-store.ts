// What a voter of the metadata quorum keeps, in a directory of its own:
//
//    00000000000000000001.log        its entries, a batch each: offset = index, leader epoch = term, key = kind and term
//    00000000000000000051-0000000003.checkpoint    a snapshot: the index behind it and its term, as Kafka names them
//    quorum-state                    term and vote, and whose they are: a line of JSON and a line with its CRC-32C
//
// Everything that reads a partition's log reads this one too. A batch's offset and leader epoch are under no checksum,
// which is why a term stands in the key as well, and the index and term of a snapshot in the name of its file.
import { crc32c } from '../../native-free/crc32c/index.ts';
import { topicConfig, topicDefaults } from '../config.ts';
import { METADATA_TOPIC } from '../core/metadata/topic-name.ts';
import {
  type Configuration,
  type Entry,
  type HardState,
  isEntryKind,
  type Member,
  type Persist,
  type Snapshot,
} from '../core/raft/index.ts';
import { readWhole, replaceFile, replaceFileNow } from './checkpoint-files.ts';
import type { Disk } from './disk.ts';
import { partitionDirectory } from './file-names.ts';
import { OpenFiles } from './open-files.ts';
import { openLog, type RecoveryCut } from './open-log.ts';
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  CRC_FROM,
  checkBatch,
  readBaseOffset,
  readCrc,
  readLeaderEpoch,
  writeBaseOffset,
  writeLeaderEpoch,
} from './record-batch.ts';
import { readRecords } from './record-batch-reader.ts';
import { BatchWriter, loneBatchBytes, type RecordData } from './record-batch-writer.ts';
import { DamagedSegmentError } from './segment.ts';
import type { SegmentLog } from './segment-log.ts';

export const QUORUM_DIRECTORY = partitionDirectory(METADATA_TOPIC, 0);
const STATE_FILE = 'quorum-state';
const CHECKPOINT_SUFFIX = '.checkpoint';
/** The origin of a snapshot of what this voter has applied; otherwise it is the leader's. */
const OWN = 'self';

/** A voter's log is short: what its snapshot holds is dropped, a segment at a time. */
const SEGMENT_BYTES = 1 << 20;
const OPEN_FILES_MAX = 8;
const READ_BYTES = 1 << 20;
const FIRST_INDEX = 1;

export interface QuorumStoreSettings {
  /** Whose files these are: others are refused. */
  readonly clusterId: string;
  readonly self: Member;
  /** Whether what was persisted has to outlive a power cut. */
  readonly isDurable: boolean;
  readonly wasPowerLost: boolean;
  readonly wallClockMs: () => number;
  /** Bytes of a file of entries. */
  readonly segmentBytes?: number | undefined;
}

/** What a voter had persisted, as RaftNode takes it. */
export interface QuorumState {
  readonly hardState: HardState | undefined;
  readonly snapshot: Snapshot | undefined;
  readonly entries: readonly Entry[];
  /** Entries that a crash had cut short, and nobody was told of. */
  readonly cuts: readonly RecoveryCut[];
}

/** The files do not hold what a voter has promised to others: it may not vote with them. */
export class QuorumStoreError extends Error {
  override readonly name = 'QuorumStoreError';
  /** Damaged: others who have it all can make up for it. Strange: whoever reads them should be somebody else. */
  readonly reason: 'damaged' | 'strange';

  constructor(reason: 'damaged' | 'strange', message: string) {
    super(message);
    this.reason = reason;
  }
}

/** What the state's file holds. */
interface StoredState {
  readonly hardState: HardState;
  /** Where the log ended at a clean end, after which nothing was written: a log that ends before has lost something. */
  readonly lastIndex: number | undefined;
}

/** A voter's files. Nobody else writes to them, and one call is under way at a time. */
export class QuorumStore {
  /** What they held when they were opened. */
  readonly state: QuorumState;
  readonly #files: OpenFiles;
  readonly #disk: Disk;
  readonly #log: SegmentLog;
  readonly #settings: QuorumStoreSettings;
  /** What the state's file says. */
  #stored: StoredState | undefined;

  private constructor(
    files: OpenFiles,
    log: SegmentLog,
    state: QuorumState,
    stored: StoredState | undefined,
    settings: QuorumStoreSettings,
  ) {
    this.#files = files;
    this.#disk = files.disk;
    this.#log = log;
    this.state = state;
    this.#stored = stored;
    this.#settings = settings;
  }

  /** Throws a QuorumStoreError where the files are another voter's or damaged, and a DiskError. */
  static async open(disk: Disk, settings: QuorumStoreSettings): Promise<QuorumStore> {
    disk.makeDirectory(QUORUM_DIRECTORY);
    // Whatever is made durable in it is lost if a power cut takes the directory.
    if (settings.isDurable) await disk.syncDirectory('');
    const stored = readState(disk, settings);
    const found = readSnapshot(disk);
    const files = new OpenFiles(disk, OPEN_FILES_MAX);
    try {
      const { log, cuts } = await openEntries(files, settings, found, stored?.lastIndex ?? 0);
      const { snapshot } = found;
      const state = {
        hardState: stored?.hardState,
        snapshot,
        entries: entriesOf(disk, log, snapshot),
        cuts,
      };
      requireWhole(disk, state, log.leo - 1, stored?.lastIndex ?? 0);
      if (settings.isDurable) await log.sync();
      return new QuorumStore(files, log, state, stored, settings);
    } catch (error) {
      files.closeAll();
      if (error instanceof DamagedSegmentError)
        throw damagedLog(disk, error.path, error.position, error.message);
      throw error;
    }
  }

  /** Carries out what a step asks for, in the order of its fields. Once it has failed, nothing may follow. */
  async persist({
    hardState,
    snapshot,
    restartAt,
    truncateFrom,
    entries,
    firstIndex,
  }: Persist): Promise<void> {
    const log = this.#log;
    const stated = hardState ?? this.#stored?.hardState;
    // What the file says of a clean end holds no longer either.
    const isStale = hardState !== undefined || this.#stored?.lastIndex !== undefined;
    if (stated !== undefined && isStale) await this.#state({ hardState: stated, lastIndex: undefined });
    if (snapshot !== undefined) await this.#storeSnapshot(snapshot, restartAt === undefined);
    if (restartAt !== undefined) log.restartAt(restartAt);
    if (truncateFrom !== undefined) log.truncateTo(truncateFrom);
    for (const { index, term, kind, data } of entries) {
      const batch = encodeBatch(index, term, [[`${kind} ${term}`, data]], this.#settings.wallClockMs());
      log.append(batch, 0, batch.length);
    }
    log.flush();
    if (firstIndex !== undefined) log.deleteBefore(firstIndex);
    if (this.#settings.isDurable) await log.sync();
  }

  /** A clean end: from now on the files tell whether something of them is lost. */
  async close(): Promise<void> {
    try {
      await this.#log.close();
      const lastIndex = this.#log.leo - 1;
      const { hardState, lastIndex: known } = this.#stored ?? {};
      if (hardState !== undefined && known !== lastIndex) await this.#state({ hardState, lastIndex });
    } finally {
      this.release();
    }
  }

  /** Lets go of the files, whatever is in them. */
  release(): void {
    this.#files.closeAll();
  }

  async #state(stored: StoredState): Promise<void> {
    this.#stored = stored;
    await this.#replace(STATE_FILE, encodeState(stored, this.#settings));
  }

  async #storeSnapshot({ index, term, configuration, data }: Snapshot, isOwn: boolean): Promise<void> {
    const records: [string, RecordData][] = [
      ['configuration', JSON.stringify(configuration)],
      ['state', data],
      ['origin', isOwn ? OWN : 'leader'],
    ];
    const file = checkpointFile({ index, term });
    await this.#replace(file, encodeBatch(index, term, records, this.#settings.wallClockMs()));
    for (const name of checkpointsIn(this.#disk))
      if (name !== file) this.#disk.remove(`${QUORUM_DIRECTORY}/${name}`);
  }

  async #replace(file: string, bytes: Uint8Array): Promise<void> {
    const path = `${QUORUM_DIRECTORY}/${file}`;
    if (this.#settings.isDurable) await replaceFile(this.#disk, path, bytes);
    else replaceFileNow(this.#disk, path, bytes);
  }
}

function encodeBatch(
  offset: number,
  term: number,
  records: readonly (readonly [string, RecordData])[],
  timestampMs: number,
): Uint8Array {
  const bytes = records.reduce((sum, [key, value]) => sum + loneBatchBytes(key, value), BATCH_HEADER_BYTES);
  const writer = new BatchWriter(bytes);
  for (const [key, value] of records) writer.tryAppend(timestampMs, key, value);
  writer.finishWithCrc(crc32c);
  const batch = writer.bytesView();
  // Neither is under the checksum: a broker writes both into a producer's batch.
  writeBaseOffset(batch, 0, offset);
  writeLeaderEpoch(batch, 0, term);
  return batch;
}

function checkpointFile({ index, term }: { readonly index: number; readonly term: number }): string {
  return `${String(index + 1).padStart(20, '0')}-${String(term).padStart(10, '0')}${CHECKPOINT_SUFFIX}`;
}

/** Ascending, so that the newest comes last. */
function checkpointsIn(disk: Disk): string[] {
  return disk.list(QUORUM_DIRECTORY).filter((name) => name.endsWith(CHECKPOINT_SUFFIX));
}

interface FoundSnapshot {
  readonly snapshot: Snapshot | undefined;
  /** Of what this voter has applied, so that the log beside it has its last entry. */
  readonly isOwn: boolean;
}

/** The newest one. An older one lies beside it where a crash came before it was removed. */
function readSnapshot(disk: Disk): FoundSnapshot {
  const name = checkpointsIn(disk).at(-1);
  if (name === undefined) return { snapshot: undefined, isOwn: false };
  const path = `${QUORUM_DIRECTORY}/${name}`;
  const bytes = readWhole(disk, path) as Buffer;
  const values = new Map<string, Uint8Array>();
  const isSound =
    checkBatch(bytes, 0, bytes.length, bytes.length) === 0 &&
    batchBytes(bytes, 0) === bytes.length &&
    readCrc(bytes, 0) === crc32c(bytes.subarray(CRC_FROM));
  if (isSound) {
    readRecords(bytes, 0, bytes.length, (_offset, _timestamp, key, value) => {
      if (key !== null && value !== null) values.set(Buffer.from(key).toString(), value);
    });
  }
  const data = values.get('state');
  const configuration = values.get('configuration');
  const place = {
    index: isSound ? readBaseOffset(bytes, 0) : -1,
    term: isSound ? readLeaderEpoch(bytes, 0) : -1,
  };
  if (data === undefined || configuration === undefined || checkpointFile(place) !== name)
    throw new QuorumStoreError('damaged', `The metadata snapshot ${disk.locate(path)} is damaged.`);
  const snapshot: Snapshot = {
    ...place,
    configuration: JSON.parse(Buffer.from(configuration).toString()) as Configuration,
    data,
  };
  return { snapshot, isOwn: Buffer.from(values.get('origin') ?? []).toString() === OWN };
}

/** The log beside a snapshot. `lastIndex`: it has to go as far; 0 where nobody knows. */
async function openEntries(
  files: OpenFiles,
  { segmentBytes = SEGMENT_BYTES, wasPowerLost }: QuorumStoreSettings,
  { snapshot, isOwn }: FoundSnapshot,
  lastIndex: number,
): Promise<{ readonly log: SegmentLog; readonly cuts: readonly RecoveryCut[] }> {
  // What a voter has applied it had made durable before; a leader's snapshot says nothing of the log beside it.
  const applied = snapshot !== undefined && isOwn ? snapshot.index : 0;
  const { log, damage, cuts } = await openLog(files, {
    directory: QUORUM_DIRECTORY,
    config: topicConfig({ 'segment.bytes': segmentBytes, 'retention.bytes': -1 }, topicDefaults('os')),
    isClean: false,
    wasPowerLost,
    recoveryPoint: Math.max(applied, lastIndex) + 1,
    logStart: FIRST_INDEX,
  });
  if (log === undefined) {
    const { file = QUORUM_DIRECTORY, position = 0, sentence = 'It cannot be read.' } = damage ?? {};
    throw damagedLog(files.disk, file, position, sentence);
  }
  if (snapshot !== undefined && !isOwn) restartIfVoid(log, snapshot);
  return { log, cuts };
}

/** A crash came between the snapshot of a leader and the log that begins behind it: the log is somebody's past. */
function restartIfVoid(log: SegmentLog, { index, term }: Snapshot): void {
  const begins = index + 1;
  if (log.logStart === begins) return;
  const extent = log.read(index, 1, log.leo);
  const isHeld =
    extent !== undefined &&
    readBaseOffset(extent.bytes, extent.from) === index &&
    readLeaderEpoch(extent.bytes, extent.from) === term;
  if (!isHeld) log.restartAt(begins);
}

/** All that the log holds behind the snapshot, and of what lies before it what is left. */
function entriesOf(disk: Disk, log: SegmentLog, snapshot: Snapshot | undefined): Entry[] {
  const entries: Entry[] = [];
  let next = log.logStart;
  const first = snapshot === undefined ? FIRST_INDEX : snapshot.index + 1;
  if (next > first) throw gapError(disk, first, next);
  while (next < log.leo) {
    const extent = log.read(next, READ_BYTES, log.leo);
    if (extent === undefined) throw gapError(disk, next, log.leo);
    for (let at = extent.from; at < extent.to; at += batchBytes(extent.bytes, at)) {
      entries.push(entryAt(disk, extent.bytes, at, next));
      next += 1;
    }
  }
  return entries;
}

/** Opening the log has not looked at every batch: what is below its recovery point it takes for sound. */
function entryAt(disk: Disk, bytes: Uint8Array, at: number, index: number): Entry {
  const end = at + batchBytes(bytes, at);
  const term = readLeaderEpoch(bytes, at);
  const found: Entry[] = [];
  if (
    readBaseOffset(bytes, at) === index &&
    readCrc(bytes, at) === crc32c(bytes.subarray(at + CRC_FROM, end))
  ) {
    readRecords(bytes, at, end, (_offset, _timestamp, key, value) => {
      const [kind, written] = Buffer.from(key ?? [])
        .toString()
        .split(' ');
      if (!isEntryKind(kind)) throw strangeEntry(disk, index, kind);
      if (written === String(term)) found.push({ index, term, kind, data: value ?? new Uint8Array(0) });
    });
  }
  if (found.length === 1) return found[0];
  throw new QuorumStoreError(
    'damaged',
    `Entry ${index} of the metadata log ${disk.locate(QUORUM_DIRECTORY)} is not as it was written.`,
  );
}

/** That nothing is missing, and that all of it was written in terms of which the state's file knows. */
function requireWhole(
  disk: Disk,
  { hardState, snapshot, entries }: QuorumState,
  end: number,
  lastIndex: number,
): void {
  const needed = Math.max(snapshot?.index ?? 0, lastIndex);
  if (end < needed) throw gapError(disk, end + 1, needed + 1);
  const known = hardState?.term ?? 0;
  let term = 0;
  for (const { index, term: next } of entries) {
    const isOther = index === snapshot?.index && next !== snapshot.term;
    if (next < term || next > known || isOther) throw strangeTerm(disk, `Entry ${index}`, next);
    term = next;
    if (index > (snapshot?.index ?? 0) && next < (snapshot?.term ?? 0))
      throw strangeTerm(disk, `Entry ${index}`, next);
  }
  if (snapshot !== undefined && snapshot.term > known)
    throw strangeTerm(disk, `The snapshot of entry ${snapshot.index}`, snapshot.term);
}

function strangeTerm(disk: Disk, what: string, term: number): QuorumStoreError {
  return new QuorumStoreError(
    'damaged',
    `${what} of the metadata in ${disk.locate(QUORUM_DIRECTORY)} is of term ${term}, which does not go with the files beside it.`,
  );
}

function damagedLog(disk: Disk, file: string, position: number, sentence: string): QuorumStoreError {
  return new QuorumStoreError(
    'damaged',
    `The metadata log ${disk.locate(file)} is damaged at byte ${position}: ${sentence}`,
  );
}

function gapError(disk: Disk, from: number, to: number): QuorumStoreError {
  return new QuorumStoreError(
    'damaged',
    `The metadata log ${disk.locate(QUORUM_DIRECTORY)} lacks the entries from ${from} to ${to - 1}.`,
  );
}

function strangeEntry(disk: Disk, index: number, kind: string): QuorumStoreError {
  return new QuorumStoreError(
    'strange',
    `Entry ${index} of the metadata log ${disk.locate(QUORUM_DIRECTORY)} is of the kind '${kind}', which this version does not know: a newer one has written it.`,
  );
}

/** A line of text, and one with its CRC-32C. */
export function encodeChecked(line: string): Buffer {
  return Buffer.from(`${line}\n${crc32c(Buffer.from(line)).toString(16)}\n`);
}

/** The line, or undefined where it is not what was written. */
export function decodeChecked(bytes: Uint8Array): string | undefined {
  const [line] = Buffer.from(bytes).toString().split('\n', 1);
  return encodeChecked(line).equals(bytes) ? line : undefined;
}

function encodeState(
  { hardState, lastIndex }: StoredState,
  { clusterId, self }: QuorumStoreSettings,
): Buffer {
  const { id, directoryId } = self;
  return encodeChecked(JSON.stringify({ version: 1, clusterId, id, directoryId, ...hardState, lastIndex }));
}

function readState(disk: Disk, { clusterId, self }: QuorumStoreSettings): StoredState | undefined {
  const path = `${QUORUM_DIRECTORY}/${STATE_FILE}`;
  const bytes = readWhole(disk, path);
  if (bytes === undefined) return undefined;
  const place = disk.locate(path);
  const line = decodeChecked(bytes);
  if (line === undefined)
    throw new QuorumStoreError('damaged', `The file ${place} is damaged: its checksum does not hold.`);
  const state = JSON.parse(line);
  if (state.version !== 1) {
    throw new QuorumStoreError(
      'strange',
      `The file ${place} has version ${state.version}, and this version of Tidemark reads version 1: a newer one has written it.`,
    );
  }
  if (state.clusterId !== clusterId || state.id !== self.id || state.directoryId !== self.directoryId) {
    throw new QuorumStoreError(
      'strange',
      `The file ${place} is that of voter ${state.id} (${state.directoryId}) of cluster ${state.clusterId}, and not of voter ${self.id} (${self.directoryId}) of cluster ${clusterId}.`,
    );
  }
  const { term, vote, lastIndex } = state;
  return { hardState: { term, vote }, lastIndex };
}
