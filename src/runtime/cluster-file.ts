import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { TopicConfigInput } from '../config.ts';
import { show, TidemarkError } from '../errors.ts';
import { syncDirectory } from './durable-files.ts';

/** A partition as it is kept between two runs of a cluster. */
export interface StoredPartition {
  readonly id: number;
  readonly partition: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** -1 where nobody led it. */
  readonly leader: number;
  readonly epoch: number;
}

export interface StoredTopic {
  readonly name: string;
  readonly topicId: string;
  /** Only what was given when the topic was made: defaults may change with a version. */
  readonly config: TopicConfigInput;
  readonly partitions: readonly StoredPartition[];
}

/** What a cluster has to know when it starts again. */
export interface ClusterState {
  readonly clusterId: string;
  /** Broker ids, ascending. */
  readonly brokers: readonly number[];
  readonly topics: readonly StoredTopic[];
  /** Ids of partitions are given out once, also those of a creation that failed. */
  readonly nextPartition: number;
}

/** Where a cluster's state is kept. It counts once save() has resolved. */
export interface ClusterStore {
  save(state: ClusterState): Promise<void>;
}

/** This version of the file. A newer one is refused rather than misread. */
const VERSION = 1;

/** The state of a cluster that leaves nothing behind. */
export class ForgetfulStore implements ClusterStore {
  save(): Promise<void> {
    return Promise.resolve();
  }
}

/**
 * cluster.json: replaced as a whole, so that whoever reads it finds one state or the next. One write is under way at a
 * time; states that come meanwhile go with the next one.
 */
export class ClusterFile implements ClusterStore {
  readonly #path: string;
  /** Whether it has to outlive a power cut. */
  readonly #isDurable: boolean;
  #latest: ClusterState | undefined;
  #writing: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(path: string, isDurable: boolean) {
    this.#path = path;
    this.#isDurable = isDurable;
  }

  save(state: ClusterState): Promise<void> {
    this.#latest = state;
    // Whoever comes before the next write has begun goes with it.
    this.#next ??= this.#writing
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        this.#writing = this.#write(encodeClusterState(this.#latest as ClusterState));
        return this.#writing;
      });
    return this.#next;
  }

  async #write(text: string): Promise<void> {
    const temporary = `${this.#path}.tmp`;
    try {
      const file = await open(temporary, 'w');
      try {
        await file.writeFile(text);
        if (this.#isDurable) await file.datasync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path);
      if (this.#isDurable) await syncDirectory(dirname(this.#path));
    } catch (cause) {
      throw new TidemarkError(
        'KAFKA_STORAGE_ERROR',
        `The file ${this.#path} could not be written (${(cause as Error).message}), so the change was not made; make room or restore the permission, and try again.`,
        { cause },
      );
    }
  }
}

export function encodeClusterState(state: ClusterState): string {
  const { clusterId, brokers, nextPartition, topics } = state;
  // A line for each topic: people read this file too.
  const lines = topics.map((topic) => `    ${JSON.stringify(topic)}`).join(',\n');
  const head = `{\n  "version": ${VERSION},\n  "clusterId": ${JSON.stringify(clusterId)},\n  "brokers": ${JSON.stringify(brokers)},\n  "nextPartition": ${nextPartition},\n`;
  return `${head}  "topics": [${lines === '' ? '' : `\n${lines}\n  `}]\n}\n`;
}

/** Reads the file's text, which may be damaged in any way: then a sentence says where. */
export function decodeClusterState(text: string, path: string): ClusterState {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw damaged(path, `it is no JSON: ${(cause as Error).message}`, cause);
  }
  const file = new Checker(path);
  const root = file.object('the file', parsed);
  const version = file.integer('version', root.version, 1);
  if (version > VERSION) {
    throw new TidemarkError(
      'DATA_DIRECTORY_INVALID',
      `The file ${path} has version ${version}, and this version of Tidemark reads up to ${VERSION}: a newer Tidemark has written it. Start that one, or use another directory.`,
    );
  }
  const brokers = file.list('brokers', root.brokers).map((id, n) => file.integer(`brokers[${n}]`, id, 1));
  if (brokers.length === 0 || brokers.some((id, n) => n > 0 && id <= brokers[n - 1]))
    file.refuse('brokers', 'different broker ids in ascending order', root.brokers);
  const state: ClusterState = {
    clusterId: file.text('clusterId', root.clusterId, /^[\w-]{1,64}$/),
    brokers,
    nextPartition: file.integer('nextPartition', root.nextPartition, 0),
    topics: file.list('topics', root.topics).map((topic, n) => topicOf(file, `topics[${n}]`, topic, brokers)),
  };
  checkUnique(file, state);
  return state;
}

function topicOf(file: Checker, at: string, value: unknown, brokers: readonly number[]): StoredTopic {
  const topic = file.object(at, value);
  const name = file.text(`${at}.name`, topic.name, /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/);
  const partitions = file.list(`${at}.partitions`, topic.partitions).map((entry, n): StoredPartition => {
    const here = `${at}.partitions[${n}]`;
    const partition = file.object(here, entry);
    const replicas = brokerList(file, `${here}.replicas`, partition.replicas, brokers);
    if (replicas.length === 0) file.refuse(`${here}.replicas`, 'a list of one broker at least', []);
    const leader = file.integer(`${here}.leader`, partition.leader, -1);
    if (leader !== -1 && !replicas.includes(leader))
      file.refuse(`${here}.leader`, 'one of its replicas or -1', leader);
    if (file.integer(`${here}.partition`, partition.partition, 0) !== n)
      file.refuse(`${here}.partition`, `${n}`, partition.partition);
    return {
      id: file.integer(`${here}.id`, partition.id, 0),
      partition: n,
      replicas,
      isr: brokerList(file, `${here}.isr`, partition.isr, replicas),
      leader,
      epoch: file.integer(`${here}.epoch`, partition.epoch, 0, 2 ** 31 - 1),
    };
  });
  return {
    name,
    topicId: file.text(`${at}.topicId`, topic.topicId, /^[\w-]{22}$/),
    config: file.object(`${at}.config`, topic.config) as TopicConfigInput,
    partitions,
  };
}

function brokerList(file: Checker, at: string, value: unknown, allowed: readonly number[]): number[] {
  const ids = file.list(at, value).map((id, n) => file.integer(`${at}[${n}]`, id, 1));
  const isSound = ids.every((id, n) => allowed.includes(id) && ids.indexOf(id) === n);
  if (!isSound) file.refuse(at, `different ones of ${allowed.join(', ')}`, `[${ids.join(', ')}]`);
  return ids;
}

/** Ids and names that would be taken for each other. */
function checkUnique(file: Checker, { topics, nextPartition }: ClusterState): void {
  const names = new Set<string>();
  const ids = new Set<number>();
  for (const { name, partitions } of topics) {
    if (names.has(name)) file.refuse('topics', 'topics of different names', name);
    names.add(name);
    for (const { id } of partitions) {
      if (id >= nextPartition || ids.has(id))
        file.refuse(`'${name}'`, `different partition ids below ${nextPartition}`, id);
      ids.add(id);
    }
  }
}

function damaged(path: string, what: string, cause?: unknown): TidemarkError {
  return new TidemarkError(
    'DATA_DIRECTORY_INVALID',
    `The file ${path} is damaged: ${what}. Restore it from a copy; the records beside it are untouched.`,
    { cause },
  );
}

/** Every value of the file is looked at before it is believed. */
class Checker {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  refuse(at: string, expected: string, value: unknown): never {
    throw damaged(this.#path, `${at} must be ${expected}; it is ${show(value)}`);
  }

  object(at: string, value: unknown): Record<string, unknown> {
    if (value === null || typeof value !== 'object' || Array.isArray(value))
      this.refuse(at, 'an object', value);
    return value as Record<string, unknown>;
  }

  list(at: string, value: unknown): unknown[] {
    if (!Array.isArray(value)) this.refuse(at, 'a list', value);
    return value;
  }

  integer(at: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
      this.refuse(at, `a whole number of at least ${min}`, value);
    return value;
  }

  text(at: string, value: unknown, pattern: RegExp): string {
    if (typeof value !== 'string' || !pattern.test(value))
      this.refuse(at, `a text that matches ${pattern}`, value);
    return value;
  }
}
