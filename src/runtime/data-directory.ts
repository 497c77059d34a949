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
import { show, TidemarkError } from '../errors.ts';
import {
  CheckpointError,
  CLEAN_SHUTDOWN_FILE,
  decodeMetaProperties,
  encodeMetaProperties,
  META_PROPERTIES_FILE,
  readDecoded,
  replaceFile,
} from '../log/checkpoint-files.ts';
import type { Durability } from '../types.ts';
import {
  ClusterFile,
  type ClusterState,
  type ClusterStore,
  decodeClusterState,
  ForgetfulStore,
} from './cluster-file.ts';
import type { BrokerHome } from './directory.ts';
import { DirectoryLock, isLockFile } from './directory-lock.ts';
import { FileDisk } from './file-disk.ts';
import { makeTemporaryDirectory, sweepTemporaryDirectories } from './temporary-directory.ts';
import { newUuid } from './uuid.ts';

const CLUSTER_FILE = 'cluster.json';

/** What file systems and file managers put into a directory that is empty as far as people are concerned. */
const LITTER = new Set(['lost+found', '.DS_Store', 'desktop.ini', 'Thumbs.db']);

/** Names that a sentence about a foreign directory shows. */
const SHOWN_MAX = 3;

/**
 * The directory of a cluster: `.lock`, `cluster.json`, and `broker-N/` for each broker. Nothing in it is touched before
 * it was found to be ours, or empty, and free.
 */
export class DataDirectory {
  /** What the cluster was when it stopped; without topics where it is new. */
  readonly state: ClusterState;
  readonly store: ClusterStore;
  readonly #place: Place | undefined;

  constructor(state: ClusterState, store: ClusterStore, place?: Place) {
    this.state = state;
    this.store = store;
    this.#place = place;
  }

  /** Undefined where nothing is kept: durability memory. */
  get path(): string | undefined {
    return this.#place?.path;
  }

  /** It stays when the cluster closes, and so do its topics. */
  get isKept(): boolean {
    return this.#place?.lock !== undefined;
  }

  /** Where a broker finds its files. */
  home(id: number): BrokerHome | undefined {
    if (this.#place === undefined) return undefined;
    const { path, lock, emptied } = this.#place;
    return {
      path: join(path, brokerName(id)),
      isTemporary: lock === undefined,
      wasPowerLost: lock?.wasPowerLost === true,
      hasLostAll: emptied.has(id),
    };
  }

  /** Makes the directory of a broker more, or takes the one that it had before it was removed. */
  async prepare(id: number): Promise<void> {
    if (this.#place === undefined) return;
    const { path, lock } = this.#place;
    makeBrokerDirectories(path, [id]);
    if (lock !== undefined) await identify(join(path, brokerName(id)), this.state.clusterId, id);
  }

  /** All logs are in order. */
  recovered(): void {
    this.#place?.lock?.recovered();
  }

  /** Lets go of it, and leaves word where a broker has not ended clean; a temporary one is removed. */
  close(): void {
    this.#place?.close();
  }
}

interface Place {
  readonly path: string;
  /** A temporary directory is nobody else's, and has none. */
  readonly lock: DirectoryLock | undefined;
  /** Brokers that had replicas, and whose directories are new. */
  readonly emptied: ReadonlySet<number>;
  readonly close: () => void;
}

/**
 * Refuses with a sentence whatever is no place for this cluster. Where nobody says how many brokers there are to be, it is
 * as many as the directory has, and one where it is new.
 */
export async function openDataDirectory(
  dataDir: string | undefined,
  durability: Durability,
  brokers: number | undefined,
): Promise<DataDirectory> {
  if (durability === 'memory') {
    return new DataDirectory(newState(brokers ?? 1), new ForgetfulStore());
  }
  return dataDir === undefined ? openTemporary(brokers ?? 1) : openKept(resolve(dataDir), brokers);
}

function brokerName(id: number): string {
  return `broker-${id}`;
}

function newState(brokers: number): ClusterState {
  const ids = Array.from({ length: brokers }, (_, n) => n + 1);
  return { clusterId: newUuid(), brokers: ids, topics: [], nextPartition: 0 };
}

/** Gone when the cluster closes, and when the process ends without that. */
async function openTemporary(brokers: number): Promise<DataDirectory> {
  const path = guarded('made', join(tmpdir(), 'tidemark-...'), () => makeTemporaryDirectory());
  void sweepTemporaryDirectories().catch(() => undefined);
  const state = newState(brokers);
  const store = new ClusterFile(join(path, CLUSTER_FILE), false);
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  const close = onceAndAtExit(remove, remove);
  try {
    await store.save(state);
    makeBrokerDirectories(path, state.brokers);
    return new DataDirectory(state, store, { path, lock: undefined, emptied: new Set(), close });
  } catch (error) {
    close();
    throw error;
  }
}

async function openKept(path: string, brokers: number | undefined): Promise<DataDirectory> {
  guarded('made', path, () => makeDirectory(path));
  guarded('used', path, () => accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK));
  refuseForeign(path);
  const lock = guarded('locked', path, () => DirectoryLock.acquire(path));
  const close = onceAndAtExit(
    () => (isInOrder(path) ? lock.release() : lock.leave()),
    () => lock.abandon(),
  );
  try {
    const file = join(path, CLUSTER_FILE);
    const store = new ClusterFile(file, true);
    const text = guarded('read', file, () => readIfThere(file));
    const state = text === undefined ? newState(brokers ?? 1) : decodeClusterState(text, file);
    if (text === undefined) await store.save(state);
    else if (brokers !== undefined) refuseOtherBrokers(path, state.brokers, brokers);
    makeBrokerDirectories(path, state.brokers);
    const emptied = new Set<number>();
    for (const id of state.brokers) {
      const found = await identify(join(path, brokerName(id)), state.clusterId, id);
      // Whose directory it is was written down before the broker was given any replica.
      if (found === 'new' && holdsReplicas(state, id)) emptied.add(id);
    }
    return new DataDirectory(state, store, { path, lock, emptied, close });
  } catch (error) {
    close();
    throw error;
  }
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
async function identify(path: string, clusterId: string, nodeId: number): Promise<'known' | 'new'> {
  const disk = new FileDisk(path);
  try {
    const found = readDecoded(disk, META_PROPERTIES_FILE, decodeMetaProperties);
    if (found === undefined) {
      const properties = encodeMetaProperties({ clusterId, nodeId, directoryId: newUuid() });
      await replaceFile(disk, META_PROPERTIES_FILE, properties);
      return 'new';
    } else if (found.clusterId !== clusterId) {
      throw invalid(
        `The directory ${path} belongs to another cluster, ${found.clusterId}, and not to ${clusterId}: put back the one that belongs here, or, where ${CLUSTER_FILE} beside it is the wrong one, the right ${CLUSTER_FILE}.`,
      );
    } else if (found.nodeId !== nodeId) {
      throw invalid(
        `The directory ${path} is that of broker ${found.nodeId}, and not of broker ${nodeId}: put the directories back as they were.`,
      );
    }
    return 'known';
  } catch (cause) {
    if (cause instanceof TidemarkError) throw cause;
    const advice =
      cause instanceof CheckpointError && cause.reason === 'damaged'
        ? ' Restore that file from a copy, or remove it: the next start makes it anew.'
        : '';
    const sentence = (cause as Error).message.replace(/\.$/, '');
    throw new TidemarkError(
      'DATA_DIRECTORY_INVALID',
      `The directory of broker ${nodeId} cannot be used: ${sentence}.${advice}`,
      { cause },
    );
  }
}

function holdsReplicas({ topics }: ClusterState, broker: number): boolean {
  return topics.some(({ partitions }) => partitions.some(({ replicas }) => replicas.includes(broker)));
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

function refuseOtherBrokers(path: string, ids: readonly number[], wanted: number): void {
  const made = ids.length;
  if (made === wanted) return;
  if (wanted > made) {
    throw invalid(
      `The directory ${path} was made with brokers: ${made}, and ${wanted} were asked for: a start adds none. Start it with brokers: ${made} and call addBroker(), or use another directory.`,
    );
  }
  const left = ids.slice(wanted).map(brokerName);
  throw invalid(
    `The directory ${path} was made with brokers: ${made}, and with ${wanted} the replicas in ${left.join(', ')} would be left out. Start it with brokers: ${made}, or use another directory.`,
  );
}

function makeBrokerDirectories(path: string, ids: readonly number[]): void {
  for (const id of ids) {
    const directory = join(path, brokerName(id));
    guarded('made', directory, () => mkdirSync(directory, { recursive: true }));
  }
}

/** Whether each broker has ended clean the last time, or holds no partition. */
function isInOrder(path: string): boolean {
  try {
    return readdirSync(path)
      .filter((name) => /^broker-\d+$/.test(name))
      .every((name) => {
        const entries = readdirSync(join(path, name), { withFileTypes: true });
        const hasEndedClean = entries.some((entry) => entry.name === CLEAN_SHUTDOWN_FILE);
        return hasEndedClean || !entries.some((entry) => entry.isDirectory() && !LITTER.has(entry.name));
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

/** What the operating system refuses, in a sentence. */
function guarded<T>(done: string, path: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (cause instanceof TidemarkError) throw cause;
    const { code = '', message } = cause as NodeJS.ErrnoException;
    const reason = reasons[code] ?? message;
    throw new TidemarkError(
      'DATA_DIRECTORY_INVALID',
      `The data directory cannot be used: ${path} could not be ${done} (${code || basename(path)}): ${reason}.`,
      { cause },
    );
  }
}

function invalid(sentence: string): TidemarkError {
  return new TidemarkError('DATA_DIRECTORY_INVALID', sentence);
}
