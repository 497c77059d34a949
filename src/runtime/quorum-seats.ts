import { randomBytes } from 'node:crypto';
import type { Member } from '../core/raft/index.ts';
import { readWhole, replaceFile } from '../log/checkpoint-files.ts';
import type { Disk } from '../log/disk.ts';
import { QUORUM_DIRECTORY, QuorumStore, QuorumStoreError } from '../log/quorum-store.ts';
import { wallClockMs } from './clock.ts';
import { newUuid } from './uuid.ts';

/** Whose vote the files beside it hold. Where it is missing, so is everything that a voter has promised. */
const VOTER_ID_FILE = `${QUORUM_DIRECTORY}/voter-id`;

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

/** Gives the directory of a broker a vote in a cluster that is being made. */
export function foundSeat(disk: Disk, voterId: string): Promise<void> {
  disk.makeDirectory(QUORUM_DIRECTORY);
  return replaceFile(disk, VOTER_ID_FILE, Buffer.from(`${voterId}\n`));
}

/** Whether a broker's directory has, or had, a vote. */
export function hasSeat(disk: Disk): boolean {
  return disk.list('').includes(`${QUORUM_DIRECTORY}/`);
}

/** What a broker's voter had persisted; a new directory gets a new identity. Throws a QuorumStoreError. */
export async function openSeat(disk: Disk, settings: SeatSettings): Promise<OpenedSeat> {
  const { clusterId, broker, isDurable, wasPowerLost } = settings;
  const member = { id: broker, directoryId: await voterIdOf(disk) };
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
export function setSeatAside(disk: Disk): string {
  const aside = `${QUORUM_DIRECTORY}.damaged-${randomBytes(4).toString('hex')}`;
  disk.rename(QUORUM_DIRECTORY, aside);
  return disk.locate(aside);
}

async function voterIdOf(disk: Disk): Promise<string> {
  disk.makeDirectory(QUORUM_DIRECTORY);
  const written = readWhole(disk, VOTER_ID_FILE)?.toString().trim();
  if (written !== undefined) {
    if (/^[\w-]{22}$/.test(written)) return written;
    throw new QuorumStoreError('damaged', `The file ${disk.locate(VOTER_ID_FILE)} holds no voter's id.`);
  }
  // Whatever else lies there belonged to a voter that nobody knows any more.
  if (disk.list(QUORUM_DIRECTORY).length > 0)
    throw new QuorumStoreError('damaged', `The file ${disk.locate(VOTER_ID_FILE)} is missing.`);
  const voterId = newUuid();
  await foundSeat(disk, voterId);
  return voterId;
}
