// A quorum whose machines gather what was committed, over memory disks and a clock that tests turn by hand.
import type { Entry, Member, Snapshot } from '../../src/core/raft/index.ts';
import type { Disk } from '../../src/log/disk.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { QuorumStore } from '../../src/log/quorum-store.ts';
import { Quorum, type QuorumClock, type QuorumSetup } from '../../src/runtime/quorum.ts';
import type { Machine } from '../../src/runtime/voter.ts';
import { seededRandom } from '../log/seeded-random.ts';

/** Time that passes only when a test says so; what was due happens in order. */
export class TestClock implements QuorumClock {
  #nowMs = 0;
  #due: { atMs: number; callback: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const entry = { atMs: this.#nowMs + delayMs, callback };
    this.#due.push(entry);
    return () => {
      this.#due = this.#due.filter((other) => other !== entry);
    };
  }

  /** Lets time pass, and everything come to rest at each moment at which something happens. */
  async pass(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    for (;;) {
      await settled();
      const next = this.#due.reduce((least, { atMs }) => Math.min(least, atMs), Number.POSITIVE_INFINITY);
      if (next > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next);
      const due = this.#due.filter(({ atMs }) => atMs <= this.#nowMs);
      this.#due = this.#due.filter(({ atMs }) => atMs > this.#nowMs);
      for (const { callback } of due) callback();
    }
    this.#nowMs = endMs;
  }

  /** The thread stands still: what was due meanwhile happens afterwards, late. */
  stall(durationMs: number): void {
    this.#nowMs += durationMs;
  }
}

/** All promises that can be settled without time passing, are. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The texts of all data entries, in order. */
export class TestMachine implements Machine {
  texts: string[] = [];

  apply({ kind, data }: Entry): void {
    if (kind === 'data') this.texts.push(Buffer.from(data).toString());
  }

  install({ data }: Snapshot): void {
    this.texts = JSON.parse(Buffer.from(data).toString());
  }

  snapshot(): Uint8Array {
    return Buffer.from(JSON.stringify(this.texts));
  }
}

export class TestQuorum {
  readonly clock = new TestClock();
  readonly disks = new Map<number, Disk>();
  readonly failures: { id: number; cause: unknown }[] = [];
  readonly quorum: Quorum<TestMachine>;
  readonly #voters: readonly Member[];
  isLinked = (_from: number, _to: number): boolean => true;

  constructor(size: number, setup: Partial<QuorumSetup> = {}) {
    this.#voters = Array.from({ length: size }, (_, n) => this.member(n + 1));
    const draw = seededRandom(7);
    this.quorum = new Quorum<TestMachine>({
      clock: this.clock,
      random: () => draw(1 << 20) / (1 << 20),
      bootstrap: { voters: this.#voters },
      isLinked: (from, to) => this.isLinked(from, to),
      changed: () => undefined,
      failed: ({ id }, cause) => this.failures.push({ id, cause }),
      ...setup,
    });
  }

  member(id: number, incarnation = 1): Member {
    return { id, directoryId: `directory-${id}-${incarnation}` };
  }

  async startAll(): Promise<this> {
    for (const member of this.#voters) await this.start(member);
    this.quorum.elect();
    await this.clock.pass(2_000);
    return this;
  }

  async start(member: Member): Promise<void> {
    const disk = this.disks.get(member.id) ?? new MemoryDisk();
    this.disks.set(member.id, disk);
    const store = await openStore(disk, member);
    this.quorum.start({ member, store, machine: new TestMachine() });
  }

  get leaderId(): number | undefined {
    return this.quorum.leader?.voter.self.id;
  }

  propose(text: string, limitMs = 5_000): Promise<unknown> {
    return this.quorum.ask(limitMs, (leader) => leader.propose(Buffer.from(text)));
  }

  texts(id: number): string[] {
    return this.quorum.machine(id)?.texts ?? [];
  }
}

export function openStore(disk: Disk, self: Member, wasPowerLost = false): Promise<QuorumStore> {
  const settings = { clusterId: 'test', self, isDurable: true, wasPowerLost, wallClockMs: () => 0 };
  return QuorumStore.open(disk, settings);
}
