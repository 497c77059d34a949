// What a simulated cluster's brokers have on their disks, which outlives them, and what happens to it.
import type { Member } from '../../../src/core/raft/index.ts';
import type { Disk } from '../../../src/log/disk.ts';
import { MemoryDisk } from '../../../src/log/memory-disk.ts';
import { DataDirectory, type Place } from '../../../src/runtime/data-directory.ts';
import { foundSeat } from '../../../src/runtime/quorum-seats.ts';
import { type Fault, FaultyDisk } from '../../log/faulty-disk.ts';
import type { Dice } from '../dice.ts';
import type { Scheduler } from '../scheduler.ts';
import { healedSyncMs, type Plan } from './plan.ts';
import { uuidOf } from './sim-process.ts';
import type { SimThread } from './sim-thread.ts';
import type { Strand } from './strand.ts';
import { type Device, StrandDisk } from './strand-disk.ts';

const CLUSTER_ID = 'simulated';

export type End = 'kill' | 'power cut';

/** Those who use the disks. */
export interface StorageUsers {
  /** Whether it is the checkers that read at present. */
  readonly isLooking: boolean;
  threadOf(strand: Strand): SimThread | undefined;
  /** Others may do something while this one is in the midst of a call. */
  getOn(strand: Strand): void;
}

export class Storage implements Device {
  /** After a power cut, until the cluster is up again. */
  wasPowerLost = false;
  readonly #plan: Plan;
  readonly #dice: Dice;
  readonly #scheduler: Scheduler;
  readonly #users: StorageUsers;
  /** By broker: what lies in its directory. */
  readonly #disks = new Map<number, FaultyDisk>();
  /** The same of their voters, where brokers keep nothing. */
  readonly #seatDisks = new Map<number, Disk>();
  readonly #founders: readonly Member[];
  /** By thread: after so many calls of its disk it dies. */
  readonly #doomed = new Map<Strand, number>();
  /** By broker: how many times longer a sync takes. */
  readonly #slow = new Map<number, number>();
  #isMade = false;
  #isHealed = false;

  constructor(plan: Plan, dice: Dice, scheduler: Scheduler, users: StorageUsers) {
    this.#plan = plan;
    this.#dice = dice;
    this.#scheduler = scheduler;
    this.#users = users;
    this.#founders = Array.from({ length: plan.brokers }, (_, n) => ({
      id: n + 1,
      directoryId: uuidOf(-1 - n),
    }));
    for (const id of this.ids) this.wipe(id);
  }

  get ids(): number[] {
    return this.#founders.map(({ id }) => id);
  }

  get isLooking(): boolean {
    return this.#users.isLooking;
  }

  diskOf(id: number, strand: Strand): Disk {
    return new StrandDisk(this.#disks.get(id) as FaultyDisk, strand, this);
  }

  async openDirectory(main: Strand): Promise<DataDirectory> {
    const origin = { clusterId: CLUSTER_ID, founders: this.#founders, isFounding: false };
    const isNew = !this.#isMade;
    if (this.#plan.durability === 'memory') {
      for (const { id, directoryId } of this.#founders) {
        const disk = new MemoryDisk();
        await foundSeat(disk, directoryId, false);
        this.#seatDisks.set(id, disk);
      }
      this.#isMade = true;
      return new DataDirectory(origin, isNew, undefined, this.#seatDisks);
    }
    if (isNew)
      for (const { id, directoryId } of this.#founders)
        await foundSeat(this.diskOf(id, main), directoryId, true);
    this.#isMade = true;
    const place: Place = {
      path: '/simulated',
      lock: { wasPowerLost: this.wasPowerLost, recovered: () => undefined },
      close: () => undefined,
      brokers: () => this.ids,
      disk: (id) => this.diskOf(id, main),
      makeHome: () => Promise.resolve(),
      wipe: (id) => this.wipe(id),
    };
    return new DataDirectory(origin, isNew, place);
  }

  touch(strand: Strand): void {
    const left = this.#doomed.get(strand);
    if (left !== undefined) {
      this.#doomed.set(strand, left - 1);
      if (left <= 0) this.#users.threadOf(strand)?.die('in the midst of something');
    }
    if (!strand.isDead) this.#users.getOn(strand);
  }

  sync(strand: Strand, disk: Disk, path: string, begin: () => Promise<void>): Promise<void> {
    const done = begin();
    const id = this.#users.threadOf(strand)?.id;
    const [least, most] = this.#isHealed ? healedSyncMs : this.#plan.syncMs;
    const slower = id === undefined || this.#isHealed ? 1 : (this.#slow.get(id) ?? 1);
    const delayMs = this.#dice.between(least, most) * slower;
    const describe = (): string => `${strand.name} has synced ${path}`;
    this.#scheduler.schedule(delayMs, 'disk', describe, () => {
      if (disk instanceof FaultyDisk) disk.releaseSyncs(1);
    });
    return new Promise((resolve, reject) => {
      done.then(
        () => strand.run(resolve),
        (error: unknown) => strand.run(() => reject(error)),
      );
    });
  }

  // Faults.

  /** The thread ends after so many calls of its disk. */
  doom(strand: Strand, calls: number): void {
    this.#doomed.set(strand, calls);
  }

  slowDown(id: number, times: number): void {
    this.#slow.set(id, times);
  }

  fail(id: number, fault: Fault): void {
    this.#disks.get(id)?.fail(fault);
  }

  heal(id: number): void {
    this.#disks.get(id)?.heal();
    this.#slow.delete(id);
  }

  /** For good: from now on nothing goes wrong any more. */
  healAll(): void {
    this.#isHealed = true;
    this.#doomed.clear();
    for (const id of this.ids) this.heal(id);
  }

  /** An empty directory stands in the place of that of a broker that does not run. */
  wipe(id: number): void {
    this.#disks.set(id, held(new FaultyDisk({ seed: this.#dice.below(1 << 30) })));
  }

  /** All threads have ended at once. */
  endProcess(end: End): void {
    this.#doomed.clear();
    for (const [id, disk] of this.#disks)
      this.#disks.set(id, held(end === 'kill' ? disk.kill() : disk.crash()));
    this.wasPowerLost ||= end === 'power cut';
  }
}

function held(disk: FaultyDisk): FaultyDisk {
  disk.holdSyncs();
  return disk;
}
