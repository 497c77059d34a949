import { Replica } from '../core/replica.ts';
import { OPEN_FILES_MAX } from '../limits.ts';
import {
  CheckpointError,
  CLEAN_SHUTDOWN_FILE,
  CLEANER_OFFSETS_FILE,
  CLOSED_LOGS_FILE,
  decodeOffsets,
  decodePartitionMetadata,
  encodePartitionMetadata,
  HIGH_WATERMARKS_FILE,
  LOG_STARTS_FILE,
  PARTITION_METADATA_FILE,
  RECOVERY_POINTS_FILE,
  readDecoded,
  readWhole,
  replaceFile,
  replaceFileNow,
} from '../log/checkpoint-files.ts';
import type { ClosedLog, NamedClosedLog } from '../log/closed-logs.ts';
import { type Disk, DiskError } from '../log/disk.ts';
import { partitionDirectory } from '../log/file-names.ts';
import { knownEnd, newLog, resumeLog } from '../log/known-log.ts';
import { OpenFiles } from '../log/open-files.ts';
import type { LogDamage, RecoveryCut } from '../log/open-log.ts';
import { SegmentLog } from '../log/segment-log.ts';
import type { DiskCondition, Durability } from '../types.ts';
import type { BackgroundClient } from './background-client.ts';
import type {
  BrokerHome,
  BrokerNotice,
  BrokerThreadData,
  OpenedReplica,
  PartitionAssignment,
} from './directory.ts';
import type { BrokerSurroundings } from './surroundings.ts';

/** What a partition's directory was found to be instead of its log. */
interface Fault {
  readonly assignment: PartitionAssignment;
  readonly sentence: string;
  /** Undefined where it is not the log that is damaged, but all of it that is missing or another topic's. */
  readonly damage: LogDamage | undefined;
}

/** The modules for what a clean end leaves to the next start. */
type EndsOfLogs = readonly [typeof import('../log/closed-logs.ts'), typeof import('./file-stamps.ts')];

/** A replica, where its log could be opened, and what is to be told about it. */
export interface Opening {
  readonly opened: OpenedReplica;
  readonly replica: Replica | undefined;
}

/** Offsets by partition directory. */
export type OffsetTable = Map<string, number>;

const TABLE_FILES = [RECOVERY_POINTS_FILE, LOG_STARTS_FILE, HIGH_WATERMARKS_FILE, CLEANER_OFFSETS_FILE];

/** Logs that are opened before ports and timers have their turn. */
const OPENED_A_TURN = 32;

/** Opens the logs of a broker: what lay on its disk when it started, and new ones. */
export class ReplicaOpening {
  readonly surroundings: BrokerSurroundings;
  readonly disk: Disk;
  readonly files: OpenFiles;
  /** As they were written down last. */
  readonly recoveryPoints: OffsetTable = new Map();
  readonly logStarts: OffsetTable = new Map();
  readonly highWatermarks: OffsetTable = new Map();
  readonly cleanedOffsets: OffsetTable = new Map();
  readonly #tables = [this.recoveryPoints, this.logStarts, this.highWatermarks, this.cleanedOffsets];
  readonly #brokerId: number;
  readonly #durability: Durability;
  readonly #home: BrokerHome | undefined;
  readonly #notify: (notice: BrokerNotice) => void;
  readonly #background: BackgroundClient | undefined;
  /** By partition id. */
  readonly #faults = new Map<number, Fault>();
  /** By directory: the topic's id as it is written there. */
  readonly #topicIds = new Map<string, string>();
  /** By directory: what the last run has left to be believed, until the log is opened. */
  readonly #closed = new Map<string, NamedClosedLog>();
  /** Since this thread began: others get their turn every so many. */
  #asked = 0;
  #isClean = false;
  /** Whether `logStarts` says of every log where it begins: after a clean end, if its file is there and sound. */
  #areStartsKnown = false;
  #isPrepared = false;
  /** Logs that are to be opened or mended and were neither opened nor found at fault: one whose opening failed stays. */
  #unsettled = 0;
  #hasNewDirectories = false;
  #hasForgotten = false;
  #prepared: Promise<void> | undefined;
  #endsOfLogs: Promise<EndsOfLogs> | undefined;

  constructor(
    data: Pick<BrokerThreadData, 'id' | 'durability' | 'home' | 'openFilesMax'>,
    surroundings: BrokerSurroundings,
    notify: (notice: BrokerNotice) => void,
    background: BackgroundClient | undefined,
  ) {
    this.#brokerId = data.id;
    this.surroundings = surroundings;
    this.#durability = data.durability;
    this.#home = data.home;
    this.#notify = notify;
    this.#background = background;
    this.disk = surroundings.openDisk(data.home);
    this.files = new OpenFiles(this.disk, data.openFilesMax ?? OPEN_FILES_MAX);
  }

  /** Lets the disk be like this from now on, as long as this thread lives. */
  async afflict(condition: DiskCondition): Promise<void> {
    const { afflict } = await import('./disk-faults.ts');
    afflict(this.disk, this.surroundings.clock, condition);
    // Whoever has a file open opens it again, and finds what has become of the disk.
    this.files.closeAll();
  }

  /** Whether a log on the disk could not be opened, so that the next start has to look again. */
  get hasFaults(): boolean {
    return this.#faults.size > 0;
  }

  /**
   * Whether the tables hold what was written down last: before that nothing may be written in its place. A broker that
   * never held a partition has none.
   */
  get isPrepared(): boolean {
    return this.#isPrepared;
  }

  /** Whether all that was asked for has been opened or found at fault: only then a clean end may be written down. */
  get isSettled(): boolean {
    return this.#isPrepared && this.#unsettled === 0;
  }

  /** So many logs are to be opened or mended, and each of them is to be settled. */
  expect(logs: number): void {
    this.#unsettled += logs;
  }

  /** A log in memory is new, and takes no time. Undefined where it lies on a disk that outlives the process. */
  openNow(assignment: PartitionAssignment): Opening | undefined {
    if (!this.disk.isVolatile) return undefined;
    const { info, config } = assignment;
    const directory = partitionDirectory(info.topic, info.partition);
    return this.#found(assignment, newLog(this.files, directory, config), []);
  }

  /** Brings a log into order and opens it. Damage is left as it is, and reported. Throws a DiskError. */
  async open(assignment: PartitionAssignment): Promise<Opening> {
    await this.#prepare();
    // Files may take a millisecond each to make, and a thread that makes thousands has to give signs of life meanwhile.
    if (++this.#asked % OPENED_A_TURN === 0) await this.surroundings.clock.turn();
    const { info, isKept, topicId } = assignment;
    const directory = partitionDirectory(info.topic, info.partition);
    this.#topicIds.set(directory, topicId);
    const closed = isKept ? await this.#closedLog(directory, topicId) : undefined;
    if (closed !== undefined) {
      const logStart = this.logStarts.get(directory) ?? 0;
      return this.#opened(assignment, resumeLog(this.files, directory, assignment.config, logStart, closed));
    }
    let writtenId: string | undefined;
    if (isKept) {
      writtenId = this.#topicIdIn(directory);
      const fault = this.#faultOf(assignment, directory, writtenId);
      if (fault !== undefined) return this.#refuse({ assignment, sentence: fault, damage: undefined });
    } else {
      await this.#makeRoom(directory);
    }
    const opening = await (isKept
      ? this.#openLog(assignment, directory, [])
      : this.#opened(assignment, newLog(this.files, directory, assignment.config)));
    if (writtenId === undefined && opening.replica !== undefined) this.#identify(directory, topicId);
    return opening;
  }

  /**
   * Leaves the next start what it may believe of these logs, by directory, all of which are closed. Before the marker of
   * a clean end, and nothing changes their files any more.
   */
  async leaveClosed(logs: ReadonlyMap<string, ClosedLog>): Promise<void> {
    const root = this.#home?.path;
    if (root === undefined) return;
    const [{ encodeClosedLogs }, { stampOf }] = await this.#bringEndsOfLogs();
    const stamped: NamedClosedLog[] = [];
    for (const [directory, log] of logs) {
      const topicId = this.#topicIds.get(directory);
      const stamp = stampOf(root, directory, log);
      if (topicId !== undefined && stamp !== undefined) stamped.push({ directory, topicId, stamp, ...log });
    }
    await replaceFile(this.disk, CLOSED_LOGS_FILE, encodeClosedLogs(stamped));
  }

  /** So many of the logs that were expected are opened or at fault, and the device knows the directories of new ones. */
  async settle(logs: number): Promise<void> {
    if (this.#hasNewDirectories && this.#home?.isTemporary !== true) {
      this.#hasNewDirectories = false;
      await this.disk.syncDirectory('');
    }
    this.#unsettled -= logs;
  }

  /** Whether this replica's log was found damaged, or missing. */
  isFaulty(id: number): boolean {
    return this.#faults.has(id);
  }

  /** Its topic is deleted, and what is at fault with it: where that lies, and whose it should be, go into `directories`. */
  forgetFault(id: number, directories: Map<string, string>): void {
    const fault = this.#faults.get(id);
    if (fault === undefined) return;
    this.#faults.delete(id);
    const { info, topicId } = fault.assignment;
    directories.set(partitionDirectory(info.topic, info.partition), topicId);
  }

  /** What the tables say of a log holds no longer: it is gone, or another one comes in its place. */
  forget(directory: string): void {
    for (const table of this.#tables) if (table.delete(directory)) this.#hasForgotten = true;
  }

  /**
   * The broker begins, and this is all that it holds. What the tables say of other logs is forgotten: of one that went
   * without their being written, by a crash, or while the broker did not run.
   */
  async forgetAllBut(held: readonly PartitionAssignment[]): Promise<void> {
    const directories = new Set(held.map(({ info }) => partitionDirectory(info.topic, info.partition)));
    // One that holds nothing, and has nothing to forget, leaves its files alone.
    if (directories.size === 0 && !this.disk.list('').some((name) => TABLE_FILES.includes(name))) return;
    await this.#prepare();
    for (const table of this.#tables)
      for (const directory of table.keys()) if (!directories.has(directory)) this.forget(directory);
  }

  /** Whether the tables' files may say something of logs that are gone. Asked once: whoever asks writes them. */
  takeForgotten(): boolean {
    const hasForgotten = this.#hasForgotten;
    this.#hasForgotten = false;
    return hasForgotten;
  }

  /** Another replica leads and has it all: sets aside what is damaged, and opens what is left. */
  async mend(id: number): Promise<Opening> {
    const { assignment, damage } = this.#faults.get(id) as Fault;
    const { info } = assignment;
    const directory = partitionDirectory(info.topic, info.partition);
    this.#faults.delete(id);
    let cuts: RecoveryCut[] = [];
    if (damage === undefined) await this.#makeRoom(directory);
    else {
      cuts = (await import('../log/open-log.ts')).setAside(this.files, directory, damage);
      // It goes no further any more, and is not to be missed.
      const known = this.recoveryPoints.get(directory) ?? 0;
      this.recoveryPoints.set(directory, Math.min(known, damage.baseOffset));
    }
    const opening = await this.#openLog(assignment, directory, cuts);
    if (opening.replica !== undefined) this.#identify(directory, assignment.topicId);
    return opening;
  }

  /** What the last run said of a log, once, and only if nobody has touched its files since. */
  async #closedLog(directory: string, topicId: string): Promise<ClosedLog | undefined> {
    const closed = this.#closed.get(directory);
    const root = this.#home?.path;
    if (closed === undefined || root === undefined) return undefined;
    this.#closed.delete(directory);
    // Tables that were put back from a copy speak of another end.
    const isThis = closed.topicId === topicId && closed.leo === this.recoveryPoints.get(directory);
    const [, { isUntouched }] = await this.#bringEndsOfLogs();
    return isThis && isUntouched(root, closed) ? closed : undefined;
  }

  #prepare(): Promise<void> {
    this.#prepared ??= this.#takeUp();
    return this.#prepared;
  }

  /** The marker of a clean end is taken away before anything is written, and the device knows. */
  async #takeUp(): Promise<void> {
    const disk = this.disk;
    this.#isClean = disk.list('').includes(CLEAN_SHUTDOWN_FILE);
    const tables = [
      this.#load(RECOVERY_POINTS_FILE, this.recoveryPoints),
      this.#load(LOG_STARTS_FILE, this.logStarts),
      this.#load(HIGH_WATERMARKS_FILE, this.highWatermarks),
    ];
    // Who cannot say how far the logs go believes none of them.
    if (tables.includes('damaged')) this.#isClean = false;
    this.#areStartsKnown = this.#isClean && tables[1] === 'sound';
    this.#load(CLEANER_OFFSETS_FILE, this.cleanedOffsets);
    const closed = this.#isClean ? readWhole(disk, CLOSED_LOGS_FILE) : undefined;
    if (closed !== undefined) {
      const [{ decodeClosedLogs }] = await this.#bringEndsOfLogs();
      for (const log of decodeClosedLogs(closed)) this.#closed.set(log.directory, log);
    }
    disk.remove(CLEAN_SHUTDOWN_FILE);
    // It speaks of that end alone.
    disk.remove(CLOSED_LOGS_FILE);
    if (this.#home?.isTemporary !== true) await disk.syncDirectory('');
    this.#isPrepared = true;
  }

  /** These files save time, and what they say is found out otherwise: a damaged one counts as missing. */
  #load(file: string, table: OffsetTable): 'sound' | 'damaged' | 'missing' {
    try {
      const entries = readDecoded(this.disk, file, decodeOffsets);
      for (const { topic, partition, offset } of entries ?? [])
        table.set(partitionDirectory(topic, partition), offset);
      return entries === undefined ? 'missing' : 'sound';
    } catch (error) {
      if (error instanceof CheckpointError && error.reason === 'damaged') return 'damaged';
      throw error;
    }
  }

  /** Whose a partition's directory says it is. */
  #topicIdIn(directory: string): string | undefined {
    try {
      return readDecoded(this.disk, `${directory}/${PARTITION_METADATA_FILE}`, decodePartitionMetadata);
    } catch (error) {
      // The id is known from elsewhere; a file that says nothing contradicts nothing.
      if (error instanceof CheckpointError && error.reason === 'damaged') return undefined;
      throw error;
    }
  }

  #identify(directory: string, topicId: string): void {
    replaceFileNow(this.disk, `${directory}/${PARTITION_METADATA_FILE}`, encodePartitionMetadata(topicId));
  }

  /** Whether what should be there is something else. */
  #faultOf(
    { info, topicId, isUnseen = false }: PartitionAssignment,
    directory: string,
    found: string | undefined,
  ): string | undefined {
    const path = this.disk.locate(directory);
    if (found !== undefined && found !== topicId)
      return `${path} belongs to another topic '${info.topic}', with the id ${found} instead of ${topicId}.`;
    // In its first reign a partition may have been lost before its directory was on the device.
    const isWritten = info.epoch > 0 || (this.highWatermarks.get(directory) ?? 0) > 0;
    const isKnown = !isUnseen && (isWritten || this.#home?.hasLostAll === true);
    if (found === undefined && isKnown && !isThere(this.disk, directory)) return `${path} is missing.`;
    return undefined;
  }

  /** Whatever has the name of a new partition is left of another one: it is kept under another name. */
  async #makeRoom(directory: string): Promise<void> {
    const disk = this.disk;
    if (isThere(disk, directory)) {
      // An open file goes along, and would be taken for the new one that has its old name.
      for (const name of disk.list(directory)) this.files.forget(`${directory}/${name}`);
      disk.rename(directory, `${this.surroundings.newUuid()}-stray`);
    }
    this.#hasNewDirectories = true;
    this.forget(directory);
  }

  /** Brings in what opens logs with the first that wants it: a start whose logs are all known does without. */
  async #openLog(
    assignment: PartitionAssignment,
    directory: string,
    before: readonly RecoveryCut[],
  ): Promise<Opening> {
    const [{ openLog }, { LogScans }] = await Promise.all([
      import('../log/open-log.ts'),
      import('./log-scans.ts'),
    ]);
    const { topic, partition } = assignment.info;
    const root = this.#home?.path;
    const background = this.#background;
    const scans = new LogScans(
      this.files,
      root === undefined || background === undefined ? undefined : { root, background },
      this.surroundings.clock,
      (doneBytes, totalBytes) =>
        this.#notify({ notice: 'recovering', topic, partition, doneBytes, totalBytes }),
    );
    const logStart = this.logStarts.get(directory) ?? 0;
    const settings = {
      directory,
      config: assignment.config,
      isClean: this.#isClean,
      wasPowerLost: this.#home?.wasPowerLost === true,
      recoveryPoint: this.recoveryPoints.get(directory) ?? 0,
      logStart,
      knownStart: this.#areStartsKnown && this.recoveryPoints.has(directory) ? logStart : undefined,
      knownEnd: knownEnd(this.recoveryPoints.get(directory), this.highWatermarks.get(directory)),
    };
    const { log, damage, cuts } = await openLog(this.files, settings, (...file) => scans.scan(...file));
    if (log !== undefined && damage === undefined) return this.#opened(assignment, log, [...before, ...cuts]);
    const sentence = `${this.disk.locate(damage?.file ?? directory)} is damaged at byte ${damage?.position}, from offset ${damage?.fromOffset} on: ${damage?.sentence}`;
    return this.#refuse({ assignment, sentence, damage });
  }

  async #opened(
    assignment: PartitionAssignment,
    log: SegmentLog,
    cuts: readonly RecoveryCut[] = [],
  ): Promise<Opening> {
    // Of a log that may have gone back since, and grown again, nobody knows what is clean: all of it is looked at.
    if (this.#isClean) log.cleanedTo = Math.min(this.cleanedOffsets.get(log.directory) ?? 0, log.leo);
    // What counts as durable has to be: a killed process left it in the page cache alone.
    if (this.#durability === 'fsync' && !this.#isClean) await log.sync();
    return this.#found(assignment, log, cuts);
  }

  #found({ info, config }: PartitionAssignment, log: SegmentLog, cuts: readonly RecoveryCut[]): Opening {
    const replica = new Replica(info, config, log, this.#brokerId);
    const { leo, lastEpoch, logStart } = log;
    const known = this.highWatermarks.get(partitionDirectory(info.topic, info.partition)) ?? 0;
    replica.hwm = Math.min(Math.max(known, logStart), leo);
    log.committed = replica.hwm;
    return {
      replica,
      // What the replica knew counts, also if its log lost what it knew of.
      opened: {
        id: info.id,
        state: 'online',
        leo,
        lastEpoch,
        logStart,
        hwm: Math.max(known, logStart),
        cuts,
      },
    };
  }

  /** A first start, and one after a crash, do without them. Each `import()` takes its time, also of what is there. */
  #bringEndsOfLogs(): Promise<EndsOfLogs> {
    this.#endsOfLogs ??= Promise.all([import('../log/closed-logs.ts'), import('./file-stamps.ts')]);
    return this.#endsOfLogs;
  }

  #refuse(fault: Fault): Opening {
    const { id } = fault.assignment.info;
    this.#faults.set(id, fault);
    return { replica: undefined, opened: unopened(id, 'damaged', fault.sentence) };
  }
}

function isThere(disk: Disk, directory: string): boolean {
  try {
    disk.list(directory);
    return true;
  } catch (error) {
    if (error instanceof DiskError && error.code === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Opens a replica's log, or mends one that was found damaged: then it is named by its partition's id. What the disk
 * refuses takes the broker's replicas offline.
 */
export async function openReplica(
  opening: ReplicaOpening,
  wanted: PartitionAssignment | number,
  host: { diskFailed(error: unknown): void },
): Promise<Opening> {
  try {
    return await (typeof wanted === 'number' ? opening.mend(wanted) : opening.open(wanted));
  } catch (error) {
    host.diskFailed(error);
    return failed(typeof wanted === 'number' ? wanted : wanted.info.id, error);
  }
}

/** What was opened may be gone by once the device knows of it: of many with one sync. */
export async function settleReplicas(
  opening: ReplicaOpening,
  found: readonly Opening[],
  host: { diskFailed(error: unknown): void },
): Promise<readonly Opening[]> {
  if (opening.disk.isVolatile || found.length === 0) return found;
  try {
    await opening.settle(found.filter(({ opened }) => opened.state !== 'offline').length);
    return found;
  } catch (error) {
    host.diskFailed(error);
    return found.map(({ opened }) => failed(opened.id, error));
  }
}

function failed(id: number, error: unknown): Opening {
  return { replica: undefined, opened: unopened(id, 'offline', (error as Error).message) };
}

function unopened(id: number, state: 'damaged' | 'offline', error: string): OpenedReplica {
  return { id, state, error, leo: 0, lastEpoch: -1, logStart: 0, hwm: 0, cuts: [] };
}

/** The log that was opened for a replica: what it can do besides is the housekeeping's business alone. */
export function segmentLogOf({ log }: Replica): SegmentLog | undefined {
  return log instanceof SegmentLog ? log : undefined;
}
