import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Member } from '../core/raft/index.ts';
import { show, TidemarkError } from '../errors.ts';
import { syncDirectory } from './durable-files.ts';

export const CLUSTER_FILE = 'cluster.json';

/** How a cluster began. What it has become since lies in its metadata log. */
export interface ClusterOrigin {
  readonly clusterId: string;
  /** The voters of its metadata log, by ascending id. */
  readonly founders: readonly Member[];
  /** They may not all have been told that they are founders: nobody has voted yet. */
  readonly isFounding: boolean;
}

/** This version of the file. A newer one is refused rather than misread. */
const VERSION = 2;

/** Replaces cluster.json as a whole, so that whoever reads it finds one state or the next. */
export async function writeClusterFile(
  path: string,
  origin: ClusterOrigin,
  isDurable: boolean,
): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(encodeClusterOrigin(origin));
      if (isDurable) await file.datasync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    if (isDurable) await syncDirectory(dirname(path));
  } catch (cause) {
    throw new TidemarkError(
      'KAFKA_STORAGE_ERROR',
      `The file ${path} could not be written (${(cause as Error).message}), so there is no cluster yet; make room or restore the permission, and try again.`,
      { cause },
    );
  }
}

export function encodeClusterOrigin({ clusterId, founders, isFounding }: ClusterOrigin): string {
  // A line for each voter: people read this file too.
  const voters = founders.map(({ id, directoryId }) => `    ${JSON.stringify({ id, directoryId })}`);
  const founding = isFounding ? '  "founding": true,\n' : '';
  return `{\n  "version": ${VERSION},\n  "clusterId": ${JSON.stringify(clusterId)},\n${founding}  "voters": [\n${voters.join(',\n')}\n  ]\n}\n`;
}

/** Reads the file's text, which may be damaged in any way: then a sentence says where. */
export function decodeClusterOrigin(text: string, path: string): ClusterOrigin {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw damaged(path, `it is no JSON: ${(cause as Error).message}`, cause);
  }
  const file = new Checker(path);
  const root = file.object('the file', parsed);
  refuseOtherVersions(path, file.integer('version', root.version, 1));
  const founders = file.list('voters', root.voters).map((entry, n): Member => {
    const voter = file.object(`voters[${n}]`, entry);
    return {
      id: file.integer(`voters[${n}].id`, voter.id, 1),
      directoryId: file.text(`voters[${n}].directoryId`, voter.directoryId, /^[\w-]{22}$/),
    };
  });
  const ids = founders.map(({ id }) => id);
  if (ids.length === 0 || ids.some((id, n) => n > 0 && id <= ids[n - 1]))
    file.refuse('voters', 'different brokers in ascending order', `[${ids.join(', ')}]`);
  const isFounding = file.flag('founding', root.founding);
  const clusterId = file.text('clusterId', root.clusterId, /^[\w-]{1,64}$/);
  return { clusterId, founders, isFounding };
}

function refuseOtherVersions(path: string, version: number): void {
  if (version === VERSION) return;
  const sentence =
    version > VERSION
      ? `The file ${path} has version ${version}, and this version of Tidemark reads up to ${VERSION}: a newer Tidemark has written it. Start that one, or use another directory.`
      : `The file ${path} has version ${version}, in which a Tidemark from before the first release kept a cluster's topics; no release reads it. Read what lies there with the Tidemark that has written it, and use another directory.`;
  throw new TidemarkError('DATA_DIRECTORY_INVALID', sentence);
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

  integer(at: string, value: unknown, min: number): number {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min)
      this.refuse(at, `a whole number of at least ${min}`, value);
    return value;
  }

  flag(at: string, value: unknown = false): boolean {
    if (typeof value !== 'boolean') this.refuse(at, 'true, or left out', value);
    return value;
  }

  text(at: string, value: unknown, pattern: RegExp): string {
    if (typeof value !== 'string' || !pattern.test(value))
      this.refuse(at, `a text that matches ${pattern}`, value);
    return value;
  }
}
