// What a path on the command line is: a segment, one of the small files, a partition's directory, a broker's, or a
// cluster's. It may be Tidemark's or Apache Kafka's, and it may be nothing of the kind.
import { type Dirent, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { MetadataImage } from '../core/metadata/image.ts';
import { META_PROPERTIES_FILE, PARTITION_METADATA_FILE } from '../log/checkpoint-files.ts';
import { EPOCHS_FILE, LOG_SUFFIX, partitionDirectory, partitionOf } from '../log/file-names.ts';
import { knownPartitions } from '../log/inspection.ts';
import { QUORUM_DIRECTORY } from '../log/quorum-store.ts';
import { CLUSTER_FILE } from '../runtime/cluster-file.ts';
import { FileDisk } from '../runtime/file-disk.ts';
import { isSeatDirectory } from '../runtime/quorum-seats.ts';
import { CommandError } from './command-line.ts';

/** A segment's file or index, also one that was set aside under a longer name. */
const SEGMENT_NAME = /^(\d{20})(\.log|\.index|\.timeindex)(\.[\w.-]+)?$/;
const PARTITION_NAME = /^(.+)-(\d+)$/;

export interface FilePath {
  readonly kind: 'file';
  /** Absolute. */
  readonly directory: string;
  readonly name: string;
  /** Of a segment's log or index; undefined of other files. */
  readonly segment: { readonly baseOffset: number; readonly suffix: string } | undefined;
}

export interface LogDirectory {
  readonly kind: 'partition' | 'broker' | 'cluster';
  /** Absolute: where a disk is opened. */
  readonly root: string;
  /** Relative to the root, in the order of their names. */
  readonly partitions: readonly string[];
  readonly brokers: readonly string[];
  /** The data directory of the cluster that all this belongs to, if it is one of Tidemark's. */
  readonly dataDirectory: string | undefined;
}

export function classify(path: string): FilePath | LogDirectory {
  const absolute = resolve(path);
  const stats = statSync(absolute, { throwIfNoEntry: false });
  if (stats === undefined) throw new CommandError(`There is no ${absolute}.`);
  if (!stats.isDirectory()) return classifyFile(absolute);
  const entries = list(absolute);
  if (isPartition(entries)) {
    return {
      kind: 'partition',
      root: dirname(absolute),
      partitions: [basename(absolute)],
      brokers: [],
      dataDirectory: dataDirectoryOf(dirname(dirname(absolute))),
    };
  }
  const brokers = entries
    .filter((entry) => entry.isDirectory() && /^broker-\d+$/.test(entry.name))
    .map(({ name }) => name);
  if (
    entries.some(({ name }) => name === CLUSTER_FILE) ||
    brokers.some((name) => isBroker(join(absolute, name)))
  ) {
    const partitions = brokers.flatMap((broker) =>
      partitionsOf(join(absolute, broker)).map((name) => `${broker}/${name}`),
    );
    return { kind: 'cluster', root: absolute, partitions, brokers, dataDirectory: dataDirectoryOf(absolute) };
  }
  if (isBroker(absolute)) {
    const partitions = partitionsOf(absolute);
    const dataDirectory = dataDirectoryOf(dirname(absolute));
    return { kind: 'broker', root: absolute, partitions, brokers: [''], dataDirectory };
  }
  throw new CommandError(
    `${path} holds no log: expected a data directory (with ${CLUSTER_FILE}), a broker's directory (with ${META_PROPERTIES_FILE} or partitions such as orders-0), or a partition's (with files such as ${'0'.repeat(20)}${LOG_SUFFIX}).`,
  );
}

/** A partition's directory that is missing, or empty, of which its broker's checkpoints know: no log is found there. */
export function lostPartition(path: string): LogDirectory | undefined {
  const absolute = resolve(path);
  const root = dirname(absolute);
  const dataDirectory = dataDirectoryOf(dirname(root));
  const stats = statSync(absolute, { throwIfNoEntry: false });
  const isLog = stats?.isDirectory() === false || (stats !== undefined && isPartition(list(absolute)));
  if (isLog || dataDirectory === undefined) return undefined;
  const name = basename(absolute);
  const isKnown = knownNames(root, '').includes(name);
  return isKnown ? { kind: 'partition', root, partitions: [name], brokers: [], dataDirectory } : undefined;
}

/** With those that brokers should have, as the metadata and their own checkpoints say, and that are not there. */
export function partitionsAt(
  { root, partitions, brokers }: LogDirectory,
  image: MetadataImage | undefined,
): string[] {
  const lost = brokers.flatMap((broker) => {
    const id = Number(basename(join(root, broker)).slice('broker-'.length));
    return knownNames(root, broker)
      .filter((name) => isHeld(image, name, id))
      .map((name) => (broker === '' ? name : `${broker}/${name}`));
  });
  return [...new Set([...partitions, ...lost])].sort();
}

function knownNames(root: string, broker: string): string[] {
  const known = knownPartitions(new FileDisk(root), broker);
  return known.map(({ topic, partition }) => partitionDirectory(topic, partition));
}

function isHeld(image: MetadataImage | undefined, directory: string, broker: number): boolean {
  const { topic, partition } = partitionOf(directory);
  return image?.partitionOf(topic, partition)?.replicas.includes(broker) === true;
}

function classifyFile(absolute: string): FilePath {
  const name = basename(absolute);
  const [, digits, suffix] = SEGMENT_NAME.exec(name) ?? [];
  const baseOffset = Number(digits);
  const isSegment = suffix !== undefined && Number.isSafeInteger(baseOffset);
  return {
    kind: 'file',
    directory: dirname(absolute),
    name,
    segment: isSegment ? { baseOffset, suffix } : undefined,
  };
}

function list(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).sort((one, other) =>
      one.name < other.name ? -1 : 1,
    );
  } catch (error) {
    throw new CommandError(`${directory} cannot be read: ${(error as Error).message}.`);
  }
}

function isPartition(entries: readonly Dirent[]): boolean {
  return entries.some(
    (entry) =>
      entry.isFile() &&
      (SEGMENT_NAME.test(entry.name) || entry.name === PARTITION_METADATA_FILE || entry.name === EPOCHS_FILE),
  );
}

function isBroker(directory: string): boolean {
  const isMarked = list(directory).some(({ name }) => name === META_PROPERTIES_FILE);
  return isMarked || partitionsOf(directory).length > 0;
}

function partitionsOf(directory: string): string[] {
  return (
    list(directory)
      .filter((entry) => entry.isDirectory() && PARTITION_NAME.test(entry.name))
      // What was set aside is nobody's log any more, and may be damaged.
      .filter(({ name }) => name === QUORUM_DIRECTORY || !isSeatDirectory(name))
      .filter(({ name }) => isPartition(list(join(directory, name))))
      .map(({ name }) => name)
  );
}

function dataDirectoryOf(candidate: string): string | undefined {
  return statSync(join(candidate, CLUSTER_FILE), { throwIfNoEntry: false }) === undefined
    ? undefined
    : candidate;
}

/** Whether offsets may be missing between the batches of a partition, since its topic is compacted. */
export function isCompacted(image: MetadataImage | undefined, partition: string): boolean {
  const [, topic] = PARTITION_NAME.exec(basename(partition)) ?? [];
  const policy = image?.topic(topic ?? '')?.config['cleanup.policy'];
  return policy !== undefined && String(policy).includes('compact');
}

/** Whether it is the metadata log of a voter, which holds no records of users. */
export function isMetadataLog(partition: string): boolean {
  return basename(partition) === QUORUM_DIRECTORY;
}
