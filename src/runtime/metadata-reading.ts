import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { apply } from '../core/metadata/apply.ts';
import { decodeRecords } from '../core/metadata/decode-records.ts';
import { emptyImage, type MetadataImage } from '../core/metadata/image.ts';
import type { MetadataRecord } from '../core/metadata/records.ts';
import type { Entry } from '../core/raft/index.ts';
import { TidemarkError } from '../errors.ts';
import { MemoryDisk } from '../log/memory-disk.ts';
import { QUORUM_DIRECTORY, type QuorumState, QuorumStoreError } from '../log/quorum-store.ts';
import { CLUSTER_FILE, decodeClusterOrigin } from './cluster-file.ts';
import { openSeat } from './quorum-seats.ts';

/** A voter that writes at the same time may be caught between two of its files. */
const TRIES_MAX = 5;

/** Why the files of a voter could not be read, and where they lie. */
export type UnreadableSeat = (directory: string, sentence: string) => void;

/**
 * The metadata of a cluster as its files have it, without a change to any of them: that of the voter whose log reaches
 * furthest, so that all that was ever committed is in it, and perhaps something that was not. Others may be writing.
 * Undefined where no voter has anything that can be read. Throws a TidemarkError where cluster.json, or what was read,
 * makes no sense.
 */
export async function readMetadata(
  dataDirectory: string,
  unreadable: UnreadableSeat,
): Promise<MetadataImage | undefined> {
  const file = join(dataDirectory, CLUSTER_FILE);
  const { clusterId } = decodeClusterOrigin(readFileSync(file, 'utf8'), file);
  let best: { readonly state: QuorumState; readonly directory: string } | undefined;
  for (const broker of brokersWithSeats(dataDirectory)) {
    const directory = seatPath(dataDirectory, broker);
    try {
      const state = await readSeat(directory, clusterId, broker);
      if (best === undefined || reachesFurther(state, best.state)) best = { state, directory };
    } catch (error) {
      const sentence = refusalIn(error, directory);
      if (sentence === undefined) throw error;
      unreadable(directory, sentence);
    }
  }
  return best === undefined ? undefined : imageOf(best.state, best.directory);
}

function brokersWithSeats(dataDirectory: string): number[] {
  const ids = readdirSync(dataDirectory).flatMap((name) => /^broker-([1-9]\d*)$/.exec(name)?.[1] ?? []);
  return ids
    .map(Number)
    .filter((id) => statSync(seatPath(dataDirectory, id), { throwIfNoEntry: false })?.isDirectory())
    .sort((one, other) => one - other);
}

function seatPath(dataDirectory: string, broker: number): string {
  return join(dataDirectory, `broker-${broker}`, QUORUM_DIRECTORY);
}

/** Opens a copy, as the voter itself would open its files: whatever that mends or makes anew is made to the copy. */
async function readSeat(directory: string, clusterId: string, broker: number): Promise<QuorumState> {
  for (let tries = 1; ; tries++) {
    try {
      const copy = copied(directory);
      const settings = { clusterId, broker, isDurable: false, wasPowerLost: true };
      const { store } = await openSeat(copy, settings);
      store.release();
      return store.state;
    } catch (error) {
      if (refusalIn(error, directory) === undefined || tries === TRIES_MAX) throw error;
    }
  }
}

/** What the files or the system have against reading them; undefined of anything else. */
function refusalIn(error: unknown, directory: string): string | undefined {
  // What was read is the copy, and people look for the file.
  if (error instanceof QuorumStoreError)
    return error.message.replaceAll(`memory:${QUORUM_DIRECTORY}`, directory);
  const { syscall, message } = error as NodeJS.ErrnoException;
  return syscall === undefined ? undefined : `${directory} cannot be read: ${message}.`;
}

/** The log goes first: what the small files say of it was true before, or is true by then. */
function copied(directory: string): MemoryDisk {
  const disk = new MemoryDisk();
  disk.makeDirectory(QUORUM_DIRECTORY);
  const names = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
  const ranks = (name: string): number => (name.endsWith('.log') ? 0 : 1);
  for (const name of names.sort((one, other) => ranks(one) - ranks(other))) {
    const bytes = readFileSync(join(directory, name));
    const file = disk.open(`${QUORUM_DIRECTORY}/${name}`, 'create');
    file.write(0, [bytes]);
    file.close();
  }
  return disk;
}

/** As voters compare their logs when they vote. */
function reachesFurther(one: QuorumState, other: QuorumState): boolean {
  const [end, otherEnd] = [endOf(one), endOf(other)];
  return end.term === otherEnd.term ? end.index > otherEnd.index : end.term > otherEnd.term;
}

function endOf({ entries, snapshot }: QuorumState): { readonly index: number; readonly term: number } {
  const last = entries.at(-1);
  if (snapshot === undefined || (last !== undefined && last.index > snapshot.index))
    return last ?? { index: 0, term: 0 };
  return snapshot;
}

function imageOf({ snapshot, entries }: QuorumState, directory: string): MetadataImage | undefined {
  const recordsIn = ({ index, kind, data }: Entry): MetadataRecord[] =>
    kind === 'data' ? decodeRecords(data, `entry ${index} of ${directory}`) : [];
  let image = emptyImage;
  try {
    if (snapshot !== undefined) {
      const { index, term, data } = snapshot;
      image = apply(
        image,
        decodeRecords(data, `the snapshot of entry ${index} in ${directory}`),
        index,
        term,
      );
    }
    for (const entry of entries)
      if (entry.index > image.offset) image = apply(image, recordsIn(entry), entry.index, entry.term);
  } catch (cause) {
    if (cause instanceof TidemarkError) throw cause;
    throw new TidemarkError(
      'DATA_DIRECTORY_INVALID',
      `The metadata in ${directory} cannot be read: ${(cause as Error).message}.`,
      { cause },
    );
  }
  return image.clusterId === undefined ? undefined : image;
}
