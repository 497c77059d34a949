import {
  accessSync,
  constants,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { votersFor } from '../core/quorum-shape.ts';
import type { Member } from '../core/raft/index.ts';
import { show, TidemarkError } from '../errors.ts';
import {
  CheckpointError,
  CLEAN_SHUTDOWN_FILE,
  decodeMetaProperties,
  encodeMetaProperties,
  META_PROPERTIES_FILE,
  readDecoded,
  replaceFile,
  replaceFileNow,
} from '../log/checkpoint-files.ts';
import { type Disk, DiskError, helpFor } from '../log/disk.ts';
import { MemoryDisk } from '../log/memory-disk.ts';
import type { Durability } from '../types.ts';
import { CLUSTER_FILE, type ClusterOrigin, decodeClusterOrigin, writeClusterFile } from './cluster-file.ts';
import type { BrokerHome } from './directory.ts';
import { DirectoryLock, isLockFile } from './directory-lock.ts';
import { syncDirectory } from './durable-files.ts';
import { FileDisk } from './file-disk.ts';
import {
  foundSeat,
  hasSeat,
  isSeatDirectory,
  isSeatInOrder,
  type OpenedSeat,
  openSeat,
  setSeatAside,
  unseat,
} from './quorum-seats.ts';
import { makeTemporaryDirectory, sweepTemporaryDirectories } from './temporary-directory.ts';
import { newUuid } from './uuid.ts';

/** What file systems and file managers put into a directory that is empty as far as people are concerned. */
const LITTER = new Set(['lost+found', '.DS_Store', 'desktop.ini', 'Thumbs.db']);

/** Names that a sentence about a foreign directory shows. */
const SHOWN_MAX = 3;

const IDENTITY_ADVICE =
  " Restore that file from a copy. Where there is none, remove it, and the next start makes another, under which this counts as a directory that has none of what the broker had: that is fetched from other brokers, and a partition that only this one has waits for cluster.admin.electLeaders({ type: 'unclean' }), which keeps what lies here.";

const BROKER_NAME = /^broker-([1-9]\d*)$/;

/**
 * The directory of a cluster: `.lock`, `cluster.json`, and `broker-N/` for each broker, in which a voter of the metadata
 * log has its seat. Nothing in it is touched before it was found to be ours, or empty, and free.
 */
export class DataDirectory {
  readonly clusterId: string;
  /** Voters with which the cluster began. */
  readonly founders: readonly Member[];
  /** Whether the cluster was made by this start. */
  readonly isNew: boolean;
  readonly #place: Place | undefined;
  /** Where the voters of brokers have their files. */
  readonly #disks: Map<number, Disk>;
  /** Brokers whose directories are new in a cluster that is not. */
  readonly #emptied = new Set<number>();

  constructor(
    { clusterId, founders }: ClusterOrigin,
    isNew: boolean,
    place: Place | undefined,
    disks = new Map<number, Disk>(),
  ) {
    this.clusterId = clusterId;
    this.founders = founders;
    this.isNew = isNew;
    this.#place = place;
    this.#disks = disks;
  }

  /** Undefined where nothing is kept: durability memory. */
  get path(): string | undefined {
    return this.#place?.path;
  }

  /** It stays when the cluster closes, and so do its topics. */
  get isKept(): boolean {
    return this.#place?.lock !== undefined;
  }

  /** Brokers that have a seat in the quorum. Ascending. */
  get seats(): readonly number[] {
    const ids = this.#place === undefined ? [...this.#disks.keys()] : this.#place.brokers();
    return ids.filter((id) => hasSeat(this.#disk(id))).sort((one, other) => one - other);
  }

  /** Brokers that had a seat when the cluster began, and have none. */
  get lostSeats(): readonly number[] {
    const { seats } = this;
    return this.founders.map(({ id }) => id).filter((id) => !seats.includes(id));
  }

  /**
   * What the voter of a broker had persisted; a broker without a seat gets one. Once the store was closed, or let go of,
   * it can be opened again. Throws a QuorumStoreError where its files are damaged, or somebody else's.
   */
  async openSeat(broker: number): Promise<OpenedSeat> {
    await this.#place?.makeHome(broker);
    const lock = this.#place?.lock;
    return openSeat(this.#disk(broker), {
      clusterId: this.clusterId,
      broker,
      isDurable: lock !== undefined,
      wasPowerLost: lock?.wasPowerLost === true,
    });
  }

  /** Sets the files of a voter aside, and its identity with them. Where they are now. */
  setSeatAside(broker: number): string {
    return setSeatAside(this.#disk(broker));
  }

  /** Where a broker finds its files. */
  home(id: number): BrokerHome | undefined {
    if (this.#place === undefined) return undefined;
    const { path, lock } = this.#place;
    return {
      path: join(path, brokerName(id)),
      isTemporary: lock === undefined,
      wasPowerLost: lock?.wasPowerLost === true,
      hasLostAll: this.#emptied.has(id),
    };
  }

  /**
   * Makes the directory of a broker, or takes the one that it has. The id by which it registers: that of this directory,
   * and in memory another one at every call, since what the broker held is gone.
   */
  async prepare(broker: number): Promise<string> {
    if (this.#place === undefined) return newUuid();
    await this.#place.makeHome(broker);
    const found = await identify(this.#place, this.clusterId, broker);
    // In a cluster that is just beginning nobody had anything.
    if (found.isNew && !this.isNew) this.#emptied.add(broker);
    return found.directoryId;
  }

  /** Takes all that a broker and its voter had, as with a disk that was replaced. Nobody uses it. */
  wipe(broker: number): void {
    this.#disks.delete(broker);
    if (this.#place === undefined) return;
    this.#place.wipe(broker);
    this.#emptied.add(broker);
  }

  /** All logs are in order. */
  recovered(): void {
    this.#place?.lock?.recovered();
  }

  /** Lets go of it, and leaves word where a broker has not ended clean; a temporary one is removed. */
  close(): void {
    if (this.#place !== undefined) guarded('let go of', this.#place.path, this.#place.close);
  }

  #disk(broker: number): Disk {
    let disk = this.#disks.get(broker);
    if (disk === undefined) {
      disk = this.#place === undefined ? new MemoryDisk() : this.#place.disk(broker);
      this.#disks.set(broker, disk);
    }
    return disk;
  }
}

/** Where the files of a cluster lie, and with which names. */
export interface Place {
  readonly path: string;
  /** The brokers that have a directory. */
  brokers(): number[];
  disk(broker: number): Disk;
  /** The directory of a broker, where it has none yet. */
  makeHome(broker: number): Promise<void>;
  /** Takes the directory of a broker away, with all that it holds. */
  wipe(broker: number): void;
  /** A temporary directory is nobody else's, and has none. */
  readonly lock: Pick<DirectoryLock, 'wasPowerLost' | 'recovered'> | undefined;
  readonly close: () => void;
}

/**
 * Refuses with a sentence whatever is no place for a cluster. A new one is to have so many brokers, and one where nobody
 * says how many; the first of them vote. One that has begun is opened whatever is asked for here.
 */
export async function openDataDirectory(
  dataDir: string | undefined,
  durability: Durability,
  brokers: number | undefined,
  voters?: number,
): Promise<DataDirectory> {
  const count = votersFor(brokers ?? 1, voters);
  if (durability === 'memory') return openMemory(count);
  return dataDir === undefined ? openTemporary(count) : openKept(resolve(dataDir), count);
}

/** Refuses a start with other brokers than a directory was made with: those of it, ascending, and how many are wanted. */
export function refuseOtherBrokers(path: string, made: readonly number[], wanted: number): void {
  if (made.length === wanted) return;
  if (wanted > made.length) {
    throw invalid(
      `The directory ${path} was made with brokers: ${made.length}, and ${wanted} were asked for: a start adds none. Start it with brokers: ${made.length} and call addBroker(), or use another directory.`,
    );
  }
  const left = made.slice(wanted).map(brokerName);
  throw invalid(
    `The directory ${path} was made with brokers: ${made.length}, and with ${wanted} the replicas in ${left.join(', ')} would be left out. Start it with brokers: ${made.length}, or use another directory.`,
  );
}

function brokerName(id: number): string {
  return `broker-${id}`;
}

function placeAt(path: string, lock: DirectoryLock | undefined, close: () => void): Place {
  return {
    path,
    lock,
    close,
    brokers: () => brokersIn(path),
    disk: (id) => new FileDisk(join(path, brokerName(id))),
    makeHome: (id) => makeBrokerDirectory(path, lock !== undefined, id),
    wipe: (id) => {
      const home = join(path, brokerName(id));
      guarded('emptied', home, () => rmSync(home, { recursive: true, force: true }));
    },
  };
}

/** A cluster that begins; where it was begun before, and nobody has voted yet, under the names that were given then. */
function newOrigin(count: number, begun?: ClusterOrigin): ClusterOrigin {
  const founders = Array.from({ length: count }, (_, n): Member => {
    const known = begun?.founders.find(({ id }) => id === n + 1);
    return known ?? { id: n + 1, directoryId: newUuid() };
  });
  return { clusterId: begun?.clusterId ?? newUuid(), founders, isFounding: true };
}

async function openMemory(count: number): Promise<DataDirectory> {
  const origin = newOrigin(count);
  const disks = new Map<number, Disk>();
  for (const { id, directoryId } of origin.founders) {
    const disk = new MemoryDisk();
    await foundSeat(disk, directoryId, false);
    disks.set(id, disk);
  }
  return new DataDirectory(origin, true, undefined, disks);
}

/** Gone when the cluster closes, and when the process ends without that. */
async function openTemporary(count: number): Promise<DataDirectory> {
  const path = guarded('made', join(tmpdir(), 'tidemark-...'), () => makeTemporaryDirectory());
  void sweepTemporaryDirectories().catch(() => undefined);
  const origin = newOrigin(count);
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  const close = onceAndAtExit(remove, remove);
  const place = placeAt(path, undefined, close);
  try {
    await found(place, origin);
    return new DataDirectory(origin, true, place);
  } catch (error) {
    close();
    throw error;
  }
}

async function openKept(path: string, count: number): Promise<DataDirectory> {
  guarded('made', path, () => makeDirectory(path));
  guarded('used', path, () => accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK));
  refuseForeign(path);
  const lock = guarded('locked', path, () => DirectoryLock.acquire(path));
  const close = onceAndAtExit(
    () => (isInOrder(path) ? lock.release() : lock.leave()),
    () => lock.abandon(),
  );
  const place = placeAt(path, lock, close);
  try {
    const file = join(path, CLUSTER_FILE);
    const text = guarded('read', file, () => readIfThere(file));
    const known = text === undefined ? undefined : decodeClusterOrigin(text, file);
    if (known?.isFounding === false) return new DataDirectory(known, false, place);
    const origin = newOrigin(count, known);
    await found(place, origin);
    return new DataDirectory(origin, true, place);
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * Makes a cluster. As long as its file says that it is being founded, nobody has voted, and whoever finds it after a crash
 * does all of this again; afterwards each founder finds its identity in its directory, or has lost it for good.
 */
async function found(place: Place, origin: ClusterOrigin): Promise<void> {
  const file = join(place.path, CLUSTER_FILE);
  const isDurable = place.lock !== undefined;
  await writeClusterFile(file, origin, isDurable);
  for (const { id } of origin.founders) await place.makeHome(id);
  try {
    // An earlier start, which was asked for more brokers and did not come to an end, may have given out more seats.
    for (const id of place.brokers())
      if (!origin.founders.some((founder) => founder.id === id)) unseat(place.disk(id));
    await Promise.all(
      origin.founders.map(({ id, directoryId }) => foundSeat(place.disk(id), directoryId, isDurable)),
    );
  } catch (cause) {
    throw refusal('made', place.path, cause);
  }
  await writeClusterFile(file, { ...origin, isFounding: false }, isDurable);
}

/** What is to be done at the process's end, with one listener however many clusters there are. */
const leaving = new Set<() => void>();
const leaveAll = (): void => {
  for (const leave of leaving) leave();
};

/** What closes something, once; where the process ends before that, `leave` is called instead. */
function onceAndAtExit(act: () => void, leave: () => void): () => void {
  if (leaving.size === 0) process.on('exit', leaveAll);
  // A function of its own: the same one may be given twice.
  const own = (): void => leave();
  leaving.add(own);
  return () => {
    if (!leaving.delete(own)) return;
    if (leaving.size === 0) process.off('exit', leaveAll);
    act();
  };
}

/** A broker's directory says whose it is, as Kafka's do. */
async function identify(
  place: Place,
  clusterId: string,
  nodeId: number,
): Promise<{ readonly directoryId: string; readonly isNew: boolean }> {
  const disk = place.disk(nodeId);
  try {
    const found = readDecoded(disk, META_PROPERTIES_FILE, decodeMetaProperties);
    if (found === undefined) {
      const directoryId = newUuid();
      const properties = encodeMetaProperties({ clusterId, nodeId, directoryId });
      if (place.lock === undefined) replaceFileNow(disk, META_PROPERTIES_FILE, properties);
      else await replaceFile(disk, META_PROPERTIES_FILE, properties);
      return { directoryId, isNew: true };
    } else if (found.clusterId !== clusterId) {
      throw invalid(
        `The directory ${disk.locate('')} belongs to another cluster, ${found.clusterId}, and not to ${clusterId}: put back the one that belongs here, or, where ${CLUSTER_FILE} beside it is the wrong one, the right ${CLUSTER_FILE}.`,
      );
    } else if (found.nodeId !== nodeId) {
      throw invalid(
        `The directory ${disk.locate('')} is that of broker ${found.nodeId}, and not of broker ${nodeId}: put the directories back as they were.`,
      );
    }
    return { directoryId: found.directoryId, isNew: false };
  } catch (cause) {
    if (cause instanceof TidemarkError) throw cause;
    const help = cause instanceof DiskError ? ` ${helpFor(cause)}, and start again.` : '';
    const advice = cause instanceof CheckpointError && cause.reason === 'damaged' ? IDENTITY_ADVICE : help;
    const sentence = (cause as Error).message.replace(/\.?$/, '.');
    throw new TidemarkError(
      'DATA_DIRECTORY_INVALID',
      `The directory of broker ${nodeId} cannot be used: ${sentence}${advice}`,
      { cause },
    );
  }
}

/** With those above it, one by one: a recursive mkdir never comes back from file systems such as /proc. */
function makeDirectory(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) return;
  if (stats !== undefined) throw invalid(`The path ${path} is a file, and dataDir must be a directory.`);
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    throw invalid(
      `The path ${path} is a symbolic link that leads to nothing: make the directory that it leads to, or use another one.`,
    );
  }
  makeDirectory(dirname(path));
  try {
    mkdirSync(path);
  } catch (cause) {
    // Somebody else has been faster.
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  }
}

/** A directory that holds something else stays as it is: no lock, no file of ours. */
function refuseForeign(path: string): void {
  const names = readdirSync(path).filter((name) => !LITTER.has(name) && !isLockFile(name));
  if (names.length === 0 || names.includes(CLUSTER_FILE)) return;
  // A first start that was killed while it wrote the first file has left no other.
  if (names.every((name) => name === `${CLUSTER_FILE}.tmp`)) return;
  const found = names.slice(0, SHOWN_MAX).map(show).join(', ');
  const more = names.length > SHOWN_MAX ? ` and ${names.length - SHOWN_MAX} more` : '';
  const advice = names.some((name) => /^broker-\d+$/.test(name))
    ? `${CLUSTER_FILE} is missing there: restore it from a copy, or use an empty directory`
    : 'use an empty directory, or one that Tidemark has made';
  throw invalid(
    `The directory ${path} is no data directory of Tidemark: it holds ${found}${more}; ${advice}.`,
  );
}

/** A power cut may take what was made durable in it as long as its name is not. */
async function makeBrokerDirectory(path: string, isDurable: boolean, id: number): Promise<void> {
  const directory = join(path, brokerName(id));
  try {
    if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) return;
    mkdirSync(directory, { recursive: true });
    if (isDurable) await syncDirectory(path);
  } catch (cause) {
    throw refusal('made', directory, cause);
  }
}

function brokersIn(path: string): number[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => !entry.isFile())
    .flatMap(({ name }) => BROKER_NAME.exec(name)?.[1] ?? [])
    .map(Number);
}

/** Whether each broker has ended clean the last time, or holds no partition, and so has its voter. */
function isInOrder(path: string): boolean {
  try {
    return brokersIn(path).every((id) => {
      const disk = new FileDisk(join(path, brokerName(id)));
      const names = disk.list('');
      const isPartition = (name: string): boolean => !LITTER.has(name) && !isSeatDirectory(name);
      const holdsSome = names.some((name) => name.endsWith('/') && isPartition(name.slice(0, -1)));
      return (!holdsSome || names.includes(CLEAN_SHUTDOWN_FILE)) && isSeatInOrder(disk);
    });
  } catch {
    // What cannot be looked at is left for the next start to judge.
    return false;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'this user has no permission; grant it, or use another directory',
  EPERM: 'this user has no permission; grant it, or use another directory',
  EROFS: 'it lies on a file system that is read-only; use another directory',
  ENOSPC: 'the disk is full; make room, or use another directory',
  EDQUOT: 'the quota is used up; make room, or use another directory',
  EEXIST: 'a file of this name is there already; dataDir must be a directory',
  EISDIR: 'it is a directory, and should be a file; move it away',
  ELOOP: 'its symbolic links lead to each other; use another directory',
  ENAMETOOLONG: 'the path is too long; use a shorter one',
  ENOENT: 'the file system takes no directory there; use another directory',
  ENOTDIR: 'a part of the path is a file; dataDir must be a directory',
};

function guarded<T>(done: string, path: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    throw refusal(done, path, cause);
  }
}

/** What the operating system refuses, in a sentence. */
function refusal(done: string, path: string, cause: unknown): TidemarkError {
  if (cause instanceof TidemarkError) return cause;
  const { code = '', message } = cause as NodeJS.ErrnoException;
  const reason = reasons[code] ?? message;
  return new TidemarkError(
    'DATA_DIRECTORY_INVALID',
    `The data directory cannot be used: ${path} could not be ${done} (${code || basename(path)}): ${reason}.`,
    { cause },
  );
}

function invalid(sentence: string): TidemarkError {
  return new TidemarkError('DATA_DIRECTORY_INVALID', sentence);
}
