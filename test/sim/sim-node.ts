import type { Member, Persist } from '../../src/core/raft/index.ts';
import type { QuorumState } from '../../src/log/quorum-store.ts';
import type { Voter, VoterStore } from '../../src/runtime/voter.ts';
import { FaultyDisk } from '../log/faulty-disk.ts';
import { DurableModel } from './durable-model.ts';
import type { NodeView } from './observer.ts';
import type { SimDisk } from './sim-disk.ts';
import type { SimMachine } from './sim-machine.ts';
import type { SimProcess } from './sim-process.ts';

/** A broker's place for a voter: it goes down and comes back, and may lose its directory. */
export class SimNode implements NodeView {
  readonly id: number;
  member: Member;
  state: 'down' | 'opening' | 'up' = 'down';
  durable = new DurableModel();
  /** What lies in its directory while nobody uses it. */
  disk: FaultyDisk;
  /** Set while somebody uses it. */
  simDisk: SimDisk | undefined;
  process: SimProcess | undefined;
  machine: SimMachine | undefined;
  /** Until its files were opened again. */
  wasPowerLost = false;
  /** Changes with every start and end: whatever began before means somebody else. */
  incarnation = 0;
  #generation = 0;

  constructor(id: number, diskSeed: number) {
    this.id = id;
    this.disk = new FaultyDisk({ seed: diskSeed });
    this.member = this.#nextMember();
  }

  get voter(): Voter | undefined {
    return this.state === 'up' ? this.process?.quorum.voter(this.id) : undefined;
  }

  /** The directory is gone, and an empty one is made in its place. */
  loseDirectory(diskSeed: number): void {
    this.disk = new FaultyDisk({ seed: diskSeed });
    this.durable = new DurableModel();
    this.member = this.#nextMember();
    this.wasPowerLost = false;
  }

  #nextMember(): Member {
    const letter = String.fromCharCode('A'.charCodeAt(0) + this.#generation);
    this.#generation += 1;
    return { id: this.id, directoryId: `directory-${this.id}-${letter.padStart(10, '-')}` };
  }
}

/** A voter's store that keeps a model of what it has promised. */
export class ObservedStore implements VoterStore {
  readonly #store: VoterStore;
  readonly #model: DurableModel;
  readonly #persisted: (persist: Persist) => void;

  constructor(store: VoterStore, model: DurableModel, persisted: (persist: Persist) => void) {
    this.#store = store;
    this.#model = model;
    this.#persisted = persisted;
  }

  get state(): QuorumState {
    return this.#store.state;
  }

  async persist(persist: Persist): Promise<void> {
    this.#model.begin(persist);
    await this.#store.persist(persist);
    this.#model.settle();
    this.#persisted(persist);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  release(): void {
    this.#store.release();
  }
}
