import { randomBytes } from 'node:crypto';
import type { Member } from '../core/raft/index.ts';
import { readWhole, replaceFile } from '../log/checkpoint-files.ts';
import type { Disk } from '../log/disk.ts';
import {
  decodeChecked,
  encodeChecked,
  QUORUM_DIRECTORY,
  QuorumStore,
  QuorumStoreError,
} from '../log/quorum-store.ts';
import { wallClockMs } from './clock.ts';
import { newUuid } from './uuid.ts';

/**
 * Whose vote the files beside it hold, and a line with its checksum. Where it is missing, so is everything that a voter
 * has promised.
 */
const VOTER_ID = 'voter-id';
const VOTER_ID_FILE = `${QUORUM_DIRECTORY}/${VOTER_ID}`;

const UUID = /^[\w-]{22}$/;

export interface SeatSettings {
  readonly clusterId: string;
  readonly broker: number;
  /** Whether what a voter says has to outlive a power cut. */
  readonly isDurable: boolean;
  readonly wasPowerLost: boolean;
  /**
   * The identity that a new directory gets instead of one that nobody had: one that a founder of the cluster was given,
   * and had no time to write down before a crash. Give it only as long as the cluster has never begun: a founder that
   * comes without its files later may have promised what it does not know any more.
   */
  readonly founderId?: string | undefined;
}

export interface OpenedSeat {
  readonly member: Member;
  readonly store: QuorumStore;
}

/** Gives the directory of a broker a vote in a cluster that is being made. */
export async function foundSeat(disk: Disk, voterId: string): Promise<void> {
  disk.makeDirectory(QUORUM_DIRECTORY);
  // Whatever is made durable in it is lost if a power cut takes the directory.
  await disk.syncDirectory('');
  await replaceFile(disk, VOTER_ID_FILE, encodeChecked(voterId));
}

/** Whether a broker's directory has, or had, a vote. */
export function hasSeat(disk: Disk): boolean {
  return disk.list('').includes(`${QUORUM_DIRECTORY}/`);
}

/** What a broker's voter had persisted; a new directory gets a new identity. Throws a QuorumStoreError. */
export async function openSeat(disk: Disk, settings: SeatSettings): Promise<OpenedSeat> {
  const { clusterId, broker, isDurable, wasPowerLost, founderId } = settings;
  const member = { id: broker, directoryId: await voterIdOf(disk, founderId) };
  const store = await QuorumStore.open(disk, {
    clusterId,
    self: member,
    isDurable,
    wasPowerLost,
    wallClockMs,
  });
  return { member, store };
}

/** Sets damaged files aside, and with them the identity that promised what they held. Where they are now. */
export async function setSeatAside(disk: Disk): Promise<string> {
  const aside = `${QUORUM_DIRECTORY}.damaged-${randomBytes(4).toString('hex')}`;
  disk.rename(QUORUM_DIRECTORY, aside);
  // A power cut may not bring back an identity after another one has taken its place.
  await disk.syncDirectory('');
  return disk.locate(aside);
}

async function voterIdOf(disk: Disk, founderId: string | undefined): Promise<string> {
  disk.makeDirectory(QUORUM_DIRECTORY);
  const bytes = readWhole(disk, VOTER_ID_FILE);
  if (bytes !== undefined) {
    const written = decodeChecked(bytes);
    if (written !== undefined && UUID.test(written)) return written;
    throw new QuorumStoreError('damaged', `The file ${disk.locate(VOTER_ID_FILE)} holds no voter's id.`);
  }
  // Whatever else lies there belonged to a voter that nobody knows any more, but for an id that was never given.
  if (disk.list(QUORUM_DIRECTORY).some((name) => name !== `${VOTER_ID}.tmp`))
    throw new QuorumStoreError('damaged', `The file ${disk.locate(VOTER_ID_FILE)} is missing.`);
  const voterId = founderId ?? newUuid();
  await foundSeat(disk, voterId);
  return voterId;
}
