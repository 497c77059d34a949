// The brokers of a cluster, the process that they live in, their disks, and everything that can happen to them.
import { topicConfig, topicDefaults } from '../../../src/config.ts';
import type { MetadataPartition } from '../../../src/core/metadata/image.ts';
import type { Member } from '../../../src/core/raft/index.ts';
import type { Replica } from '../../../src/core/replica.ts';
import type { Disk } from '../../../src/log/disk.ts';
import { MemoryDisk } from '../../../src/log/memory-disk.ts';
import { Arena } from '../../../src/runtime/arena.ts';
import { Coordinator } from '../../../src/runtime/coordinator.ts';
import { DataDirectory, type Place } from '../../../src/runtime/data-directory.ts';
import { foundSeat } from '../../../src/runtime/quorum-seats.ts';
import type { ClusterSurroundings } from '../../../src/runtime/surroundings.ts';
import { pause } from '../../../src/runtime/timers.ts';
import { FaultyDisk } from '../../log/faulty-disk.ts';
import type { Dice } from '../dice.ts';
import type { Scheduler } from '../scheduler.ts';
import type { Violation } from '../world.ts';
import { giveMemory, takeMemory } from './arena-pool.ts';
import { Canon } from './canon.ts';
import { allCheckers } from './checkers/index.ts';
import { describePartition, describeReplica } from './describe.ts';
import { type BrokerView, type Observer, TOPIC, type WorldView } from './observer.ts';
import { healedSyncMs, type Plan } from './plan.ts';
import { Line, SimPort } from './sim-port.ts';
import { SimProcess, uuidOf } from './sim-process.ts';
import { SimThread, type ThreadWorld } from './sim-thread.ts';
import { Strand } from './strand.ts';
import { type Device, StrandDisk } from './strand-disk.ts';

const CLUSTER_ID = 'simulated';
const RESTART_AFTER_MS = 300;
const START_MS = [1, 30] as const;

export type End = 'kill' | 'power cut';

export class World implements WorldView, Device {
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly canon = new Canon();
  violation: Violation | undefined;
  isLooking = false;
  readonly #dice: Dice;
  readonly #checkers: readonly Observer[];
  /** By broker: what lies in its directory. */
  readonly disks = new Map<number, FaultyDisk>();
  readonly #seatDisks = new Map<number, Disk>();
  readonly #founders: readonly Member[];
  /** By broker: its thread in its present life. */
  readonly threads = new Map<number, SimThread>();
  readonly #lives = new Map<SimThread, number>();
  readonly #seenDead = new WeakSet<SimThread>();
  readonly #dirty = new Set<SimThread>();
  readonly #known = new Map<number, MetadataPartition>();
  /** Broker and partition: what was taken there on purpose. */
  readonly #excused = new Set<string>();
  /** By thread: after so many calls of its disk it dies. */
  readonly #doomed = new Map<Strand, number>();
  readonly #slow = new Map<number, number>();
  readonly #attachers: ((coordinator: Coordinator) => void)[] = [];
  readonly #told = new WeakMap<Replica, string>();
  readonly #bursts: (() => void)[] = [];
  readonly #watchers: (() => void)[] = [];
  #process: SimProcess | undefined;
  #isMainDirty = false;
  #isHealed = false;
  #wasPowerLost = false;
  #isMade = false;
  #uuids = 0;
  #depth = 0;

  constructor(plan: Plan, dice: Dice, scheduler: Scheduler) {
    this.plan = plan;
    this.#dice = dice.fork();
    this.scheduler = scheduler;
    this.#founders = Array.from({ length: plan.brokers }, (_, n) => ({
      id: n + 1,
      directoryId: uuidOf(-1 - n),
    }));
    for (const { id } of this.#founders) this.disks.set(id, this.#newDisk());
    this.#checkers = allCheckers(this);
    scheduler.between = () => this.#look();
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  get ids(): number[] {
    return this.#founders.map(({ id }) => id);
  }

  /** Undefined while it is down, or starting. */
  get coordinator(): Coordinator | undefined {
    return this.#process?.coordinator;
  }

  get main(): Strand | undefined {
    return this.#process?.main;
  }

  violate(invariant: string, detail: string): void {
    if (this.violation !== undefined) return;
    this.violation = { invariant, detail, atMs: this.nowMs };
    this.scheduler.note(`VIOLATED: ${invariant}: ${detail}`);
    this.scheduler.stop();
  }

  brokers(): BrokerView[] {
    return [...this.threads.values()].flatMap((thread) => {
      const { broker, id } = thread;
      const life = this.#lives.get(thread) as number;
      return broker === undefined || thread.isDead ? [] : [{ id, life, broker }];
    });
  }

  partitions(): readonly MetadataPartition[] {
    return (this.coordinator?.knownTopic(TOPIC)?.partitions ?? []) as MetadataPartition[];
  }

  isExcused(broker: number, partition: number): boolean {
    return this.#excused.has(`${broker} ${partition}`);
  }

  /** What clients are told goes to the checkers. */
  get observers(): readonly Observer[] {
    return this.#checkers;
  }

  /** Told of every cluster that has come up. */
  onUp(attach: (coordinator: Coordinator) => void): void {
    this.#attachers.push(attach);
  }

  /** Called when others get on while a thread is in the midst of something. */
  onMeanwhile(burst: () => void): void {
    this.#bursts.push(burst);
  }

  /** Called between any two events. */
  onLook(watch: () => void): void {
    this.#watchers.push(watch);
  }

  // The process.

  boot(): void {
    if (this.#process !== undefined) return;
    const main = new Strand(
      'main',
      this.scheduler,
      () => {
        this.#isMainDirty = true;
      },
      (error) => this.#broken('the main thread', error),
    );
    const process = new SimProcess(main, takeMemory());
    this.#process = process;
    main.run(() => {
      this.#start(process).catch((error: unknown) => {
        if (main.isDead) return;
        this.scheduler.note(`the start has failed: ${(error as Error).message}`);
        this.endProcess('kill');
      });
    });
  }

  async #start(process: SimProcess): Promise<void> {
    const { plan } = this;
    const directory = await this.#openDirectory(process.main);
    const coordinator = await Coordinator.start({
      durability: plan.durability,
      directory,
      brokers: plan.brokers,
      controllers: undefined,
      config: topicConfig({ 'min.insync.replicas': 2 }, topicDefaults(plan.durability)),
      sessionMs: plan.sessionMs,
      surroundings: this.#surroundings(process),
    });
    if (process.main.isDead) return;
    process.coordinator = coordinator;
    this.#wasPowerLost = false;
    this.scheduler.note('the cluster is up');
    while (!coordinator.topics.has(TOPIC)) {
      // What is left of a creation that has failed.
      if (coordinator.knownTopic(TOPIC) !== undefined)
        await coordinator.topicChanges.delete(TOPIC).catch(() => undefined);
      const made = coordinator.topicChanges.create(TOPIC, plan.partitions, plan.replicas, {
        'segment.bytes': plan.segmentBytes,
        'retention.ms': -1,
        'replica.lag.time.max.ms': plan.lagMs,
        'retention.bytes': -1,
      });
      await made.catch((error: Error) => this.scheduler.note(`no topic yet: ${error.message}`));
      if (process.main.isDead) return;
      await pause(process.main.clock, RESTART_AFTER_MS);
    }
    if (process.main.isDead) return;
    for (const attach of this.#attachers) attach(coordinator);
  }

  /** All threads at once. It is booted again after a while. */
  endProcess(end: End): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#process = undefined;
    process.main.isDead = true;
    for (const thread of this.threads.values()) thread.strand.isDead = true;
    for (const checker of this.#checkers) checker.processEnded?.();
    this.threads.clear();
    this.#dirty.clear();
    this.#doomed.clear();
    for (const [id, disk] of this.disks)
      this.disks.set(id, this.#held(end === 'kill' ? disk.kill() : disk.crash()));
    this.#wasPowerLost ||= end === 'power cut';
    giveMemory(process.memory);
    this.scheduler.schedule(
      RESTART_AFTER_MS,
      'fault',
      () => 'the process begins again',
      () => this.boot(),
    );
  }

  async #openDirectory(main: Strand): Promise<DataDirectory> {
    const origin = { clusterId: CLUSTER_ID, founders: this.#founders, isFounding: false };
    const isNew = !this.#isMade;
    if (this.plan.durability === 'memory') {
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
        await foundSeat(this.#diskOf(id, main), directoryId, true);
    this.#isMade = true;
    const wasPowerLost = this.#wasPowerLost;
    const place: Place = {
      path: '/simulated',
      lock: { wasPowerLost, recovered: () => undefined },
      close: () => undefined,
      brokers: () => this.ids,
      disk: (id) => this.#diskOf(id, main),
      makeHome: () => Promise.resolve(),
      wipe: (id) => this.wipe(id),
    };
    return new DataDirectory(origin, isNew, place);
  }

  #surroundings(process: SimProcess): ClusterSurroundings {
    const { plan, scheduler } = this;
    const dice = this.#dice.fork();
    const threadWorld: ThreadWorld = {
      plan,
      dice: dice.fork(),
      main: process.main,
      newStrand: (thread) => this.#newStrand(thread),
      newLine: (name) => new Line(scheduler, dice.fork(), plan.portMs, () => name),
      surroundingsOf: (thread) => ({
        clock: thread.strand.clock,
        newUuid: () => this.#newUuid(),
        openDisk: (root) =>
          root === undefined
            ? new StrandDisk(new MemoryDisk(), thread.strand, this)
            : this.#diskOf(thread.id, thread.strand),
      }),
    };
    return {
      clock: process.main.clock,
      sizes: {
        tailRingBytes: plan.ringBytes,
        requestChannelBytes: plan.channelBytes,
        responseChannelBytes: plan.channelBytes,
      },
      random: () => dice.fraction(),
      newUuid: () => this.#newUuid(),
      newArena: () => new Arena(process.memory),
      connect: () => SimPort.pair(scheduler, dice, plan.portMs),
      startThread: (data) => {
        const thread = new SimThread(threadWorld, data, dice.between(...START_MS));
        this.threads.set(data.id, thread);
        this.#lives.set(thread, this.#lives.size + 1);
        return thread;
      },
    };
  }

  #newStrand(thread: SimThread): Strand {
    return new Strand(
      `broker ${thread.id}`,
      this.scheduler,
      () => this.#dirty.add(thread),
      (error) => this.#broken(`broker ${thread.id}`, error),
    );
  }

  #newUuid(): string {
    this.#uuids += 1;
    return uuidOf(this.#uuids);
  }

  #broken(who: string, error: unknown): void {
    const sentence = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.violate('Nothing that the product asserts is broken', `${who}: ${sentence}`);
  }

  /** A promise of the product was rejected, and nobody has caught that. */
  readonly unhandled = (error: unknown): void => this.#broken('somebody', error);

  // Disks.

  #newDisk(): FaultyDisk {
    return this.#held(new FaultyDisk({ seed: this.#dice.below(1 << 30) }));
  }

  #held(disk: FaultyDisk): FaultyDisk {
    disk.holdSyncs();
    return disk;
  }

  #diskOf(id: number, strand: Strand): Disk {
    return new StrandDisk(this.disks.get(id) as FaultyDisk, strand, this);
  }

  touch(strand: Strand): void {
    const left = this.#doomed.get(strand);
    if (left !== undefined) {
      this.#doomed.set(strand, left - 1);
      if (left <= 0) this.#threadOf(strand)?.die('in the midst of something');
    }
    if (this.#depth > 0 || strand.isDead || !this.#dice.percent(this.plan.meanwhilePercent)) return;
    this.#depth += 1;
    for (const burst of this.#bursts) if (this.#dice.percent(30)) burst();
    for (const thread of this.threads.values())
      if (thread.strand !== strand && this.#dice.percent(50)) thread.passMeanwhile();
    this.#depth -= 1;
  }

  sync(strand: Strand, disk: Disk, path: string, begin: () => Promise<void>): Promise<void> {
    const done = begin();
    const id = this.#threadOf(strand)?.id;
    const [least, most] = this.#isHealed ? healedSyncMs : this.plan.syncMs;
    const slower = id === undefined || this.#isHealed ? 1 : (this.#slow.get(id) ?? 1);
    const delayMs = this.#dice.between(least, most) * slower;
    const describe = (): string => `${strand.name} has synced ${path}`;
    this.scheduler.schedule(delayMs, 'disk', describe, () => {
      if (disk instanceof FaultyDisk) disk.releaseSyncs(1);
    });
    return new Promise((resolve, reject) => {
      done.then(
        () => strand.run(resolve),
        (error: unknown) => strand.run(() => reject(error)),
      );
    });
  }

  #threadOf(strand: Strand): SimThread | undefined {
    for (const thread of this.threads.values()) if (thread.strand === strand) return thread;
    return undefined;
  }

  // Faults.

  /** The thread ends after so many calls of its disk, or soon. */
  doom(id: number, calls: number): void {
    const thread = this.threads.get(id);
    if (thread !== undefined && !thread.isDead) this.#doomed.set(thread.strand, calls);
  }

  slowDisk(id: number, times: number): void {
    this.#slow.set(id, times);
  }

  healDisk(id: number): void {
    this.disks.get(id)?.heal();
    this.#slow.delete(id);
  }

  /** An empty directory stands in the place of that of a broker that does not run. */
  wipe(id: number): void {
    this.disks.set(id, this.#newDisk());
  }

  /** Whether what a broker holds may go without anything being lost that was promised; from then on it is excused. */
  mayLose(id: number): boolean {
    // Of a coordinator that stands still a leader may have asked for a smaller ISR, which nobody sees yet.
    if (this.coordinator === undefined || this.main?.isStill !== false) return false;
    return this.partitions().every((partition) =>
      partition.isr.some((other) => other !== id && !this.isExcused(other, partition.id)),
    );
  }

  excuse(id: number): void {
    for (const { id: partition } of this.partitions()) this.#excused.add(`${id} ${partition}`);
  }

  heal(): void {
    this.#isHealed = true;
    this.#doomed.clear();
    for (const id of this.ids) this.healDisk(id);
    this.#process?.main.goOn();
    for (const thread of this.threads.values()) thread.strand.goOn();
    this.coordinator?.members.heal();
    for (const id of this.ids) {
      if (this.coordinator?.members.find(id) !== undefined) this.coordinator.members.resume(id);
    }
  }

  /** The memory can be used for another one. */
  close(): void {
    const process = this.#process;
    if (process === undefined) return;
    process.main.isDead = true;
    for (const thread of this.threads.values()) thread.strand.isDead = true;
    giveMemory(process.memory);
  }

  /** All is at rest: the dear checks. */
  checkEnd(): void {
    this.#whileLooking(() => {
      for (const checker of this.#checkers) checker.ended?.();
    });
  }

  #whileLooking(look: () => void): void {
    this.isLooking = true;
    try {
      look();
    } catch (error) {
      this.violate('What replicas hold can be read', (error as Error).message);
    }
    this.isLooking = false;
  }

  // Between two events.

  #look(): void {
    this.#whileLooking(() => this.#lookAtAll());
    for (const watch of this.#watchers) watch();
    this.#process?.main.look();
    for (const thread of this.threads.values()) {
      // What it held in memory is gone with it.
      if (thread.isDead && this.plan.durability === 'memory' && !this.#seenDead.has(thread))
        this.excuse(thread.id);
      if (thread.isDead) this.#seenDead.add(thread);
      thread.look();
    }
  }

  #lookAtAll(): void {
    const views = [...this.#dirty].flatMap((thread) => this.#viewOf(thread) ?? []);
    this.#dirty.clear();
    for (const view of views) for (const checker of this.#checkers) checker.moved?.(view);
    for (const view of views) this.#lookAt(view);
    if (this.#isMainDirty) this.#lookAtMetadata();
  }

  #viewOf(thread: SimThread): BrokerView | undefined {
    const { broker, id } = thread;
    return broker && { id, broker, life: this.#lives.get(thread) as number };
  }

  #lookAt(view: BrokerView): void {
    if (this.scheduler.isTraced) this.#tell(view);
    if (this.threads.get(view.id)?.broker === view.broker && this.threads.get(view.id)?.isDead === false)
      for (const checker of this.#checkers) checker.stepped?.(view);
    // Also one that has died in the midst of it may have said before that something is committed.
    for (const replica of view.broker.replicas) {
      if (replica?.isLeader === true && replica.info.topic === TOPIC) this.canon.adopt(replica);
    }
  }

  /** For people: what has become of the replicas of a broker. */
  #tell(view: BrokerView): void {
    for (const replica of view.broker.replicas) {
      const line = replica && describeReplica(view, replica);
      if (replica === undefined || line === undefined || this.#told.get(replica) === line) continue;
      this.#told.set(replica, line);
      this.scheduler.note(line);
    }
  }

  #lookAtMetadata(): void {
    this.#isMainDirty = false;
    for (const partition of this.partitions()) {
      const before = this.#known.get(partition.id);
      if (before?.partitionEpoch === partition.partitionEpoch && before.epoch === partition.epoch) continue;
      this.#known.set(partition.id, partition);
      this.scheduler.mix(partition.partitionEpoch * 64 + partition.leader);
      if (this.scheduler.isTraced) this.scheduler.note(describePartition(partition));
      for (const checker of this.#checkers) checker.changed?.(partition, before);
      for (const id of partition.replicas)
        if (!partition.isr.includes(id)) this.#excused.delete(`${id} ${partition.id}`);
    }
  }
}
