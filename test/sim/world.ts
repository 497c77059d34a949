// The nodes of a quorum, the processes that they live in, and everything that can happen to them.
import type { Configuration, Member, Message } from '../../src/core/raft/index.ts';
import { DiskError } from '../../src/log/disk.ts';
import { QuorumStore } from '../../src/log/quorum-store.ts';
import { Quorum } from '../../src/runtime/quorum.ts';
import { type Place, ProposalError, type Voter } from '../../src/runtime/voter.ts';
import type { Fault } from '../log/faulty-disk.ts';
import type { Call } from './call.ts';
import { allCheckers } from './checkers/index.ts';
import type { Dice } from './dice.ts';
import type { DurableModel } from './durable-model.ts';
import { Network } from './network.ts';
import { nameOf, type Observer, type WorldView } from './observer.ts';
import { healedSyncMs, type Plan } from './plan.ts';
import type { Scheduler } from './scheduler.ts';
import { SimDisk } from './sim-disk.ts';
import { SimMachine } from './sim-machine.ts';
import { ObservedStore, SimNode } from './sim-node.ts';
import { SimProcess } from './sim-process.ts';

export interface Violation {
  readonly invariant: string;
  readonly detail: string;
  readonly atMs: number;
}

export type End = 'kill' | 'power cut';

export class World implements WorldView {
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly nodes: SimNode[] = [];
  readonly bootstrap: Configuration;
  violation: Violation | undefined;
  readonly #dice: Dice;
  readonly #checkers: readonly Observer[];
  readonly #models = new Map<string, DurableModel>();
  readonly #pending = new Set<Call>();
  #syncMs: Plan['syncMs'];
  /** The thread of all of them, in that layout. */
  #common: SimProcess | undefined;
  #calls = 0;

  constructor(plan: Plan, dice: Dice, scheduler: Scheduler) {
    this.plan = plan;
    this.#dice = dice.fork();
    this.scheduler = scheduler;
    this.#syncMs = plan.syncMs;
    this.network = new Network(scheduler, dice.fork(), plan.network, (message) => this.#arrive(message));
    for (let id = 1; id <= plan.nodes; id++) {
      const node = new SimNode(id, this.#dice.below(1 << 30));
      this.nodes.push(node);
      this.#models.set(node.member.directoryId, node.durable);
    }
    this.bootstrap = { voters: this.nodes.slice(0, plan.voters).map(({ member }) => member) };
    this.#checkers = allCheckers(this);
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  get isDurable(): boolean {
    return this.plan.isDurable;
  }

  get pendingCalls(): readonly Call[] {
    return [...this.#pending];
  }

  durableOf(member: Member): DurableModel | undefined {
    return this.#models.get(member.directoryId);
  }

  violate(invariant: string, detail: string): void {
    if (this.violation !== undefined) return;
    this.violation = { invariant, detail, atMs: this.nowMs };
    this.scheduler.note(`VIOLATED: ${invariant}: ${detail}`);
    this.scheduler.stop();
  }

  /** Of those that run and think so. */
  leaders(): Voter[] {
    const found: Voter[] = [];
    for (const { voter } of this.nodes) if (voter?.isLeader === true) found.push(voter);
    return found;
  }

  /** Of those that think so the one of the newest term. */
  get leader(): Voter | undefined {
    return this.leaders().reduce<Voter | undefined>(
      (best, voter) => (best === undefined || voter.node.term > best.node.term ? voter : best),
      undefined,
    );
  }

  voters(): SimNode[] {
    return (this.leader?.node.configuration.voters ?? []).map(({ id }) => this.node(id));
  }

  node(id: number): SimNode {
    return this.nodes[id - 1];
  }

  // Starting and ending.

  start(node: SimNode): void {
    if (node.state !== 'down') return;
    const { plan, scheduler } = this;
    const process = this.#processOf(node);
    node.process = process;
    node.state = 'opening';
    node.incarnation += 1;
    const { incarnation, member } = node;
    const isCurrent = (): boolean => node.incarnation === incarnation;
    const disk = new SimDisk(node.disk, (path, finish) => this.#useDevice(node, process, path, finish));
    node.simDisk = disk;
    const settings = {
      clusterId: 'simulated',
      self: member,
      isDurable: plan.isDurable,
      wasPowerLost: node.wasPowerLost,
      wallClockMs: () => Math.floor(scheduler.nowMs),
      segmentBytes: plan.segmentBytes,
    };
    QuorumStore.open(disk, settings).then(
      (store) => {
        if (!isCurrent()) return;
        node.wasPowerLost = false;
        this.#begin(node, store);
      },
      (error: unknown) => {
        if (isCurrent()) this.#failed(node, error);
      },
    );
  }

  #begin(node: SimNode, store: QuorumStore): void {
    const { member, durable } = node;
    const process = node.process as SimProcess;
    for (const checker of this.#checkers) checker.opened?.(node, store.state);
    durable.adopt(store.state.hardState, store.state.snapshot, store.state.entries);
    const machine = new SimMachine(process.published, {
      applied: (entry) => {
        for (const checker of this.#checkers) checker.applied?.(node, entry);
      },
      installed: (snapshot) => {
        for (const checker of this.#checkers) checker.installed?.(node, snapshot);
      },
      compacted: (index, data) => {
        for (const checker of this.#checkers) checker.compacted?.(node, index, data);
      },
    });
    node.machine = machine;
    const observed = new ObservedStore(store, durable, (persist) => {
      for (const checker of this.#checkers) checker.persisted?.(node, persist);
    });
    node.state = 'up';
    try {
      process.quorum.start({ member, store: observed, machine });
    } catch (error) {
      this.violate(
        'A voter starts with whatever it has persisted',
        `${nameOf(member)}: ${sentenceOf(error)}`,
      );
    }
  }

  /** The end of one node: of its process, or where all live in one thread, of its broker. */
  end(node: SimNode, end: End): void {
    if (node.state === 'down') return;
    const process = node.process as SimProcess;
    if (process !== this.#common) {
      this.#down(node, end);
      process.end();
      return;
    }
    if (node.state === 'opening') return;
    node.incarnation += 1;
    // The files are in use until what is on its way to them has arrived.
    node.state = 'opening';
    const { incarnation } = node;
    process.quorum.kill(node.id).then(() => {
      if (node.incarnation !== incarnation) return;
      node.state = 'down';
      node.machine = undefined;
      node.simDisk = undefined;
    });
  }

  /** All of them at once. */
  endAll(end: End): void {
    for (const node of this.nodes) {
      if (node.state === 'down') continue;
      this.#down(node, end);
      node.process?.end();
    }
    this.#forget(0);
    this.#common = undefined;
  }

  #down(node: SimNode, end: End): void {
    if (node.simDisk !== undefined) node.disk = node.simDisk.after(end);
    node.wasPowerLost ||= end === 'power cut';
    node.simDisk = undefined;
    node.machine = undefined;
    node.state = 'down';
    node.incarnation += 1;
    this.#forget(node.id);
  }

  /** Whoever asked it hears nothing any more. */
  #forget(asked: number): void {
    for (const call of [...this.#pending]) if (call.node === asked) this.#fail(call, true, () => undefined);
  }

  loseDirectory(node: SimNode): void {
    node.loseDirectory(this.#dice.below(1 << 30));
    this.#models.set(node.member.directoryId, node.durable);
  }

  failDisk(node: SimNode, fault: Fault): void {
    node.simDisk?.fail(fault);
  }

  /** A disk has refused something: that ends a voter, and nothing else may. */
  #failed(node: SimNode, cause: unknown): void {
    if (node.state === 'down') return;
    const isDisk = cause instanceof DiskError && (cause.code === 'EIO' || cause.code === 'ENOSPC');
    if (!isDisk) {
      this.violate('Nothing but a failing disk ends a voter', `${nameOf(node.member)}: ${sentenceOf(cause)}`);
      return;
    }
    this.scheduler.note(`${nameOf(node.member)} has failed: ${(cause as DiskError).message}`);
    // After a sync that failed nobody knows what the device has; what the cache says is no measure of it.
    this.#down(node, (cause as DiskError).code === 'EIO' ? 'power cut' : 'kill');
    if (node.process !== this.#common) node.process?.end();
  }

  #processOf(node: SimNode): SimProcess {
    const { plan } = this;
    if (plan.layout === 'one thread') {
      this.#common ??= this.#newProcess('the thread');
      return this.#common;
    }
    return this.#newProcess(`process ${node.id}`);
  }

  #newProcess(name: string): SimProcess {
    const { plan, scheduler } = this;
    const rate = 1 + (plan.driftPercent / 100) * (2 * this.#dice.fraction() - 1);
    const dice = this.#dice.fork();
    return new SimProcess(name, scheduler, rate, (process) => {
      return new Quorum<SimMachine>({
        clock: process.clock,
        random: () => dice.fraction(),
        options: plan.options,
        snapshotEveryEntries: plan.snapshotEveryEntries,
        bootstrap: this.bootstrap,
        send: (message) => this.#send(process, message),
        changed: () => this.#changed(process),
        failed: ({ id }, cause) => {
          if (!process.isDead) this.#failed(this.node(id), cause);
        },
      });
    });
  }

  #send(process: SimProcess, message: Message): void {
    if (process.isDead) return;
    const node = this.node(message.from.id);
    for (const checker of this.#checkers) checker.sent?.(node, message);
    this.network.send(message);
  }

  #arrive(message: Message): void {
    const { process, state } = this.node(message.to.id);
    if (state !== 'up' || process === undefined) return;
    process.whenRunning(() => process.quorum.receive(message));
  }

  #changed(process: SimProcess): void {
    if (process.isDead) return;
    for (const node of this.nodes) {
      if (node.process !== process) continue;
      const { voter } = node;
      if (voter !== undefined) for (const checker of this.#checkers) checker.stepped?.(node, voter);
    }
  }

  #useDevice(node: SimNode, process: SimProcess, path: string, finish: () => void): void {
    const [least, most] = this.#syncMs;
    const delayMs = this.#dice.between(least, most);
    const describe = (): string => `${nameOf(node.member)} has synced ${path}`;
    this.scheduler.schedule(delayMs, 'disk', describe, () => process.whenRunning(finish));
  }

  // Asking.

  ask(
    asked: Pick<Call, 'kind' | 'node' | 'what' | 'data'>,
    request: (call: Call) => Promise<Place>,
    answered: (call: Call) => void = () => undefined,
  ): Call {
    const call: Call = { ...asked, id: this.#calls, beganMs: this.nowMs, outcome: 'pending' };
    this.#calls += 1;
    this.#pending.add(call);
    for (const checker of this.#checkers) checker.called?.(call);
    request(call).then(
      (place) => {
        if (!this.#pending.has(call)) return;
        call.outcome = 'succeeded';
        for (const checker of this.#checkers) checker.succeeded?.(call, place);
        this.#settled(call, answered);
      },
      (error: unknown) => {
        if (!(error instanceof ProposalError)) {
          this.violate('A call that fails says why', `${call.kind} ${call.what}: ${sentenceOf(error)}`);
          return;
        }
        if (this.#pending.has(call)) this.#fail(call, error.isUnknown, answered);
      },
    );
    return call;
  }

  #fail(call: Call, isUnknown: boolean, answered: (call: Call) => void): void {
    call.outcome = isUnknown ? 'unknown' : 'refused';
    for (const checker of this.#checkers) checker.failed?.(call, isUnknown);
    this.#settled(call, answered);
  }

  /** The number that the next call will have. */
  get nextCall(): number {
    return this.#calls;
  }

  #settled(call: Call, answered: (call: Call) => void): void {
    this.#pending.delete(call);
    this.scheduler.mix(call.id * 4 + call.outcome.length);
    if (this.scheduler.isTraced)
      this.scheduler.note(`call ${call.id}, ${call.kind} ${call.what}: ${call.outcome}`);
    answered(call);
  }

  // The end.

  heal(): void {
    this.network.heal();
    this.#syncMs = healedSyncMs;
    for (const node of this.nodes) {
      node.process?.resume();
      node.simDisk?.heal();
    }
  }

  /** All is at rest: the dear checks. */
  checkEnd(): void {
    for (const checker of this.#checkers) checker.ended?.();
  }
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
