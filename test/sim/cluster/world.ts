// The brokers of a cluster, the process that they live in, their disks, and everything that can happen to them.
import { topicConfig, topicDefaults } from '../../../src/config.ts';
import type { MetadataPartition } from '../../../src/core/metadata/image.ts';
import type { Replica } from '../../../src/core/replica.ts';
import { MemoryDisk } from '../../../src/log/memory-disk.ts';
import { Arena } from '../../../src/runtime/arena.ts';
import { Coordinator } from '../../../src/runtime/coordinator.ts';
import type { ClusterSurroundings } from '../../../src/runtime/surroundings.ts';
import { pause } from '../../../src/runtime/timers.ts';
import type { Dice } from '../dice.ts';
import type { Scheduler } from '../scheduler.ts';
import type { Violation } from '../world.ts';
import { giveMemory, takeMemory } from './arena-pool.ts';
import { Canon } from './canon.ts';
import { allCheckers } from './checkers/index.ts';
import { describePartition, describeReplica } from './describe.ts';
import { type BrokerView, type Observer, TOPIC, type WorldView } from './observer.ts';
import type { Plan } from './plan.ts';
import { Line, SimPort } from './sim-port.ts';
import { SimProcess, uuidOf } from './sim-process.ts';
import { SimThread, type ThreadWorld } from './sim-thread.ts';
import { type End, Storage, type StorageUsers } from './storage.ts';
import { Strand } from './strand.ts';
import { StrandDisk } from './strand-disk.ts';

const RESTART_AFTER_MS = 300;
const START_MS = [1, 30] as const;

export class World implements WorldView, StorageUsers {
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly canon = new Canon();
  violation: Violation | undefined;
  isLooking = false;
  readonly #dice: Dice;
  readonly #checkers: readonly Observer[];
  readonly storage: Storage;
  /** By broker: its thread in its present life. */
  readonly threads = new Map<number, SimThread>();
  readonly #lives = new Map<SimThread, number>();
  readonly #seenDead = new WeakSet<SimThread>();
  readonly #dirty = new Set<SimThread>();
  readonly #known = new Map<number, MetadataPartition>();
  /** Broker and partition: what was taken there on purpose. */
  readonly #excused = new Set<string>();
  readonly #attachers: ((coordinator: Coordinator) => void)[] = [];
  readonly #told = new WeakMap<Replica, string>();
  readonly #bursts: (() => void)[] = [];
  readonly #watchers: (() => void)[] = [];
  #process: SimProcess | undefined;
  #isMainDirty = false;
  #uuids = 0;
  #depth = 0;

  constructor(plan: Plan, dice: Dice, scheduler: Scheduler) {
    this.plan = plan;
    this.#dice = dice.fork();
    this.scheduler = scheduler;
    this.storage = new Storage(plan, this.#dice, scheduler, this);
    this.#checkers = allCheckers(this);
    scheduler.between = () => this.#look();
    scheduler.stuck = (sentence) => this.violate('Time goes on', sentence);
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  get ids(): number[] {
    return this.storage.ids;
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
    const directory = await this.storage.openDirectory(process.main);
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
    this.storage.wasPowerLost = false;
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
    this.storage.endProcess(end);
    giveMemory(process.memory);
    this.scheduler.schedule(
      RESTART_AFTER_MS,
      'fault',
      () => 'the process begins again',
      () => this.boot(),
    );
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
            ? new StrandDisk(new MemoryDisk(), thread.strand, this.storage)
            : this.storage.diskOf(thread.id, thread.strand),
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

  // Threads.

  /** While this one is in the midst of a call of its disk. */
  getOn(strand: Strand): void {
    if (this.#depth > 0 || !this.#dice.percent(this.plan.meanwhilePercent)) return;
    this.#depth += 1;
    for (const burst of this.#bursts) if (this.#dice.percent(30)) burst();
    for (const thread of this.threads.values())
      if (thread.strand !== strand && this.#dice.percent(50)) thread.passMeanwhile();
    this.#depth -= 1;
  }

  threadOf(strand: Strand): SimThread | undefined {
    for (const thread of this.threads.values()) if (thread.strand === strand) return thread;
    return undefined;
  }

  // Faults.

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
    this.storage.healAll();
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
