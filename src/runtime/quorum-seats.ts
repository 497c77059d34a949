import { randomBytes } from 'node:crypto';
import type { Member } from '../core/raft/index.ts';
import { readWhole, replaceFile, replaceFileNow } from '../log/checkpoint-files.ts';
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

/** The state's file of a QuorumStore, which knows after a clean end where the log ended. */
const STATE_FILE = `${QUORUM_DIRECTORY}/quorum-state`;

/** What damaged files are called from then on, with a number of their own behind it. */
const SEAT_ASIDE = `${QUORUM_DIRECTORY}.damaged-`;
/** No topic has so many partitions that one of them would be called that. */
const ASIDE_NUMBER = /^[0-9a-f]{8}$/;

const UUID = /^[\w-]{22}$/;

export interface SeatSettings {
  readonly clusterId: string;
  readonly broker: number;
  /** Whether what a voter says has to outlive a power cut. */
  readonly isDurable: boolean;
  readonly wasPowerLost: boolean;
}

export interface OpenedSeat {
  readonly member: Member;
  readonly store: QuorumStore;
}

/**
 * Gives the directory of a broker a vote: in a cluster that is being made, or with an identity that nobody had. Where a
 * crash came before anybody voted, it can be done again.
 */
export async function foundSeat(disk: Disk, voterId: string, isDurable: boolean): Promise<void> {
  disk.makeDirectory(QUORUM_DIRECTORY);
  // Whatever is made durable in it is lost if a power cut takes the directory. And one that was set aside before may not
  // come back with its identity after another one has taken its place.
  if (isDurable) await disk.syncDirectory('');
  if (isDurable) await replaceFile(disk, VOTER_ID_FILE, encodeChecked(voterId));
  else replaceFileNow(disk, VOTER_ID_FILE, encodeChecked(voterId));
}

/** Whether a broker's directory has, or had, a vote. */
export function hasSeat(disk: Disk): boolean {
  return disk.list('').includes(`${QUORUM_DIRECTORY}/`);
}

/** Takes the vote back that a directory was given for a cluster which never began. One that was used stays. */
export function unseat(disk: Disk): void {
  if (hasSeat(disk) && disk.list(QUORUM_DIRECTORY).every(isVoterId)) disk.remove(QUORUM_DIRECTORY);
}

/** Whether its voter has ended clean, or has never said anything: its files need no judging after a power cut. */
export function isSeatInOrder(disk: Disk): boolean {
  const bytes = readWhole(disk, STATE_FILE);
  return bytes === undefined || isCleanEnd(bytes);
}

/** What a broker's voter had persisted; a new directory gets a new identity. Throws a QuorumStoreError. */
export async function openSeat(disk: Disk, settings: SeatSettings): Promise<OpenedSeat> {
  const { clusterId, broker, isDurable, wasPowerLost } = settings;
  const member = { id: broker, directoryId: await voterIdOf(disk, isDurable) };
  const store = await QuorumStore.open(disk, {
    clusterId,
    self: member,
    isDurable,
    wasPowerLost,
    wallClockMs,
  });
  return { member, store };
}

/**
 * Sets damaged files aside, and with them the identity that promised what they held. Where they are now. A power cut may
 * bring them back until the next seat is founded in their place.
 */
export function setSeatAside(disk: Disk): string {
  const aside = `${SEAT_ASIDE}${randomBytes(4).toString('hex')}`;
  disk.rename(QUORUM_DIRECTORY, aside);
  return disk.locate(aside);
}

/** Whether a directory of this name is, or was, that of a vote: it is none of the broker's partitions. */
export function isSeatDirectory(name: string): boolean {
  if (name === QUORUM_DIRECTORY) return true;
  return name.startsWith(SEAT_ASIDE) && ASIDE_NUMBER.test(name.slice(SEAT_ASIDE.length));
}

function isVoterId(name: string): boolean {
  return name === VOTER_ID || name === `${VOTER_ID}.tmp`;
}

async function voterIdOf(disk: Disk, isDurable: boolean): Promise<string> {
  disk.makeDirectory(QUORUM_DIRECTORY);
  const bytes = readWhole(disk, VOTER_ID_FILE);
  if (bytes !== undefined) {
    const written = decodeChecked(bytes);
    if (written !== undefined && UUID.test(written)) return written;
    throw new QuorumStoreError('damaged', `The file ${disk.locate(VOTER_ID_FILE)} holds no voter's id.`);
  }
  // Whatever else lies there belonged to a voter that nobody knows any more, but for an id that was never given.
  if (!disk.list(QUORUM_DIRECTORY).every(isVoterId))
    throw new QuorumStoreError('damaged', `The file ${disk.locate(VOTER_ID_FILE)} is missing.`);
  const voterId = newUuid();
  await foundSeat(disk, voterId, isDurable);
  return voterId;
}

function isCleanEnd(bytes: Uint8Array): boolean {
  const line = decodeChecked(bytes);
  return line !== undefined && JSON.parse(line).lastIndex !== undefined;
}
