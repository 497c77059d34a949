import { TidemarkError } from '../../../src/errors.ts';
import type { Dice } from '../dice.ts';
import type { Plan } from './plan.ts';
import type { World } from './world.ts';

const RESTART_MS = [20, 1_500] as const;
const RESTART_AT_LAST_MS = 10;
const LOOK_MS = 100;
const REPLICAS_LEAST = 2;
const REPLICAS_MOST = 4;
const MOVE_LIMIT_MS = 2_000;

/** Lets things go wrong, and never more than what the durability is to survive. */
export class Nemesis {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #restarting = new Set<number>();
  #others = 0;
  /** Of the present process: a directory was wiped, and the voter in it with it. */
  #wiped: unknown;
  #isOver = false;

  constructor(world: World, dice: Dice) {
    this.#world = world;
    this.#dice = dice;
  }

  begin(): void {
    const { rates } = this.#world.plan;
    const acts: Record<keyof Plan['rates'], () => void> = {
      kill: () => this.#kill(this.#anybody()),
      crash: () => this.#crash(this.#anybody()),
      killInReturn: () => this.#killInReturn(),
      stop: () => this.#stop(this.#anybody()),
      isolate: () => this.#isolate(),
      pause: () => this.#pause(this.#anybody()),
      stall: () => this.#world.threads.get(this.#anybody())?.strand.stall(this.#dice.between(5, 800)),
      stallOfMain: () => this.#world.main?.stall(this.#dice.between(50, 4_000)),
      processKill: () => this.#world.endProcess('kill'),
      powerCut: () => this.#world.endProcess('power cut'),
      diskFault: () => this.#failDisk(this.#anybody()),
      slowDisk: () => this.#slowDisk(this.#anybody()),
      wipe: () => this.#wipe(this.#anybody()),
      topics: () => void this.#changeTopics(),
      moves: () => void this.#move(),
    };
    for (const [name, act] of Object.entries(acts)) {
      const meanMs = rates[name as keyof Plan['rates']];
      if (meanMs !== Number.POSITIVE_INFINITY) this.#again(name, meanMs, act);
    }
    this.#lookAfter();
  }

  /** No more faults; what is down comes back. */
  end(): void {
    this.#isOver = true;
    this.#world.heal();
  }

  #again(name: string, meanMs: number, act: () => void): void {
    const { scheduler } = this.#world;
    scheduler.schedule(
      this.#dice.waitMs(meanMs),
      'fault',
      () => name,
      () => {
        if (this.#isOver) return;
        if (this.#world.coordinator !== undefined) act();
        this.#again(name, meanMs, act);
      },
    );
  }

  #anybody(): number {
    return this.#dice.pick(this.#world.ids);
  }

  #note(what: string): void {
    this.#world.scheduler.note(what);
  }

  /** Whether that broker's death is one that the durability survives. */
  #maySurvive(id: number): boolean {
    if (this.#world.plan.durability !== 'memory') return true;
    if (!this.#world.mayLose(id)) return false;
    this.#world.excuse(id);
    return true;
  }

  #kill(id: number): void {
    const { coordinator } = this.#world;
    if (coordinator?.members.find(id)?.handle.hasEnded !== false || !this.#maySurvive(id)) return;
    this.#note(`broker ${id} is killed`);
    coordinator.lives.kill(id).catch(() => undefined);
  }

  /** A leader dies while somebody who was out of sync is on its way back: what was begun ends in another reign. */
  #killInReturn(): void {
    const { coordinator } = this.#world;
    const isBack = (id: number): boolean => coordinator?.members.find(id)?.handle.state === 'running';
    const partition = this.#world
      .partitions()
      .find(({ isr, replicas }) => isr.length > 1 && replicas.some((id) => !isr.includes(id) && isBack(id)));
    if (partition !== undefined) this.#kill(partition.leader);
  }

  /** By itself, in the midst of something. */
  #crash(id: number): void {
    const thread = this.#world.threads.get(id);
    if (thread === undefined || thread.isDead || !this.#maySurvive(id)) return;
    this.#note(`broker ${id} is doomed`);
    this.#world.storage.doom(thread.strand, this.#dice.below(40));
    this.#world.scheduler.schedule(
      this.#dice.between(1, 200),
      'fault',
      () => `broker ${id} dies`,
      () => {
        if (!this.#isOver) thread.die('by itself');
      },
    );
  }

  #stop(id: number): void {
    const { coordinator } = this.#world;
    if (coordinator?.members.find(id)?.handle.state !== 'running' || !this.#maySurvive(id)) return;
    this.#note(`broker ${id} is stopped`);
    coordinator.lives.stop(id).catch(() => undefined);
  }

  #pause(id: number): void {
    const { coordinator, scheduler } = this.#world;
    const handle = coordinator?.members.find(id)?.handle;
    if (coordinator === undefined || handle?.isAlive !== true) return;
    this.#note(`broker ${id} is paused`);
    coordinator.members.pause(id);
    scheduler.schedule(
      this.#dice.between(10, 5_000),
      'fault',
      () => `broker ${id} is resumed`,
      () => {
        if (this.#world.coordinator === coordinator) coordinator.members.resume(id);
      },
    );
  }

  /** One or two of them, from the rest and from the coordinator. */
  #isolate(): void {
    const { coordinator, scheduler } = this.#world;
    if (coordinator === undefined) return;
    const ids = [...new Set([this.#anybody(), this.#dice.percent(70) ? 0 : this.#anybody()])].filter(
      (id) => id > 0,
    );
    this.#note(`brokers ${ids.join(' ')} are cut off`);
    coordinator.members.isolate(ids);
    scheduler.schedule(
      this.#dice.between(20, 5_000),
      'fault',
      () => 'everybody hears everybody',
      () => {
        if (this.#world.coordinator === coordinator) coordinator.members.heal();
      },
    );
  }

  #failDisk(id: number): void {
    const kind = this.#dice.pick(['write', 'sync', 'any', 'syncDirectory'] as const);
    const code = this.#dice.pick(['EIO', 'ENOSPC']);
    this.#note(`the disk of broker ${id} fails: ${kind}, ${code}`);
    const fault = { kind, nth: 1 + this.#dice.below(10), code, always: this.#dice.percent(50) };
    this.#world.storage.fail(id, fault);
    const { scheduler } = this.#world;
    scheduler.schedule(
      this.#dice.between(100, 2_000),
      'fault',
      () => `the disk of broker ${id} heals`,
      () => this.#world.storage.heal(id),
    );
  }

  #slowDisk(id: number): void {
    this.#world.storage.slowDown(id, this.#dice.between(5, 50));
    const { scheduler } = this.#world;
    scheduler.schedule(
      this.#dice.between(100, 2_000),
      'fault',
      () => `the disk of broker ${id} is fast`,
      () => this.#world.storage.heal(id),
    );
  }

  #wipe(id: number): void {
    const { coordinator } = this.#world;
    const handle = coordinator?.members.find(id)?.handle;
    if (coordinator === undefined || handle === undefined || this.#wiped === coordinator) return;
    if (this.#world.threads.get(id)?.isDead !== true || !handle.hasEnded || this.#restarting.has(id)) return;
    if (!this.#world.mayLose(id)) return;
    this.#wiped = coordinator;
    this.#world.excuse(id);
    this.#note(`the directory of broker ${id} is wiped`);
    this.#world.storage.wipe(id);
  }

  async #changeTopics(): Promise<void> {
    const { coordinator, plan } = this.#world;
    if (coordinator === undefined) return;
    const { topicChanges } = coordinator;
    const name = `other-${this.#others}`;
    try {
      if (coordinator.topics.has(name) && this.#dice.percent(60)) {
        this.#others += 1;
        await topicChanges.delete(name);
      } else if (coordinator.topics.has(name))
        await topicChanges.configure(name, { 'segment.bytes': plan.segmentBytes }, []);
      else await topicChanges.create(name, 1 + this.#dice.below(3), 3, {});
    } catch (error) {
      this.#note(`no change of '${name}': ${(error as Error).message}`);
    }
  }

  /** What administrators do with partitions: other replicas, back again before these have come, or other leaders. */
  async #move(): Promise<void> {
    const reassignments = this.#world.coordinator?.reassignments;
    const partitions = this.#world.partitions();
    if (reassignments === undefined || partitions.length === 0) return;
    const { topic, partition } = this.#dice.pick(partitions);
    const chosen = this.#dice.below(100);
    const replicas = this.#someReplicas();
    try {
      if (chosen < 65) {
        this.#note(`partition ${partition} is to go to ${replicas.join(' ')}`);
        await reassignments.reassign([{ topic, partition, replicas }], undefined, MOVE_LIMIT_MS);
      } else if (chosen < 80) await reassignments.cancel(undefined, MOVE_LIMIT_MS);
      else await reassignments.elect([topic], 'preferred', MOVE_LIMIT_MS);
    } catch (error) {
      // Anything else is a fault of the product.
      if (!(error instanceof TidemarkError)) throw error;
      this.#note(`no move of ${partition}: ${error.message}`);
    }
  }

  #someReplicas(): number[] {
    const ids = [...this.#world.ids];
    const count = REPLICAS_LEAST + this.#dice.below(Math.min(REPLICAS_MOST, ids.length) - REPLICAS_LEAST + 1);
    return Array.from({ length: count }, () => ids.splice(this.#dice.below(ids.length), 1)[0]);
  }

  /** Whoever is down, or has no disk any more, is started again after a while. */
  #lookAfter(): void {
    const { coordinator, scheduler } = this.#world;
    for (const { handle } of coordinator?.members.all ?? []) {
      if (this.#restarting.has(handle.id) || (!handle.hasEnded && handle.state !== 'offline')) continue;
      this.#restarting.add(handle.id);
      const delayMs = this.#isOver ? RESTART_AT_LAST_MS : this.#dice.between(...RESTART_MS);
      scheduler.schedule(
        delayMs,
        'fault',
        () => `broker ${handle.id} is restarted`,
        () => this.#restart(handle.id),
      );
    }
    scheduler.schedule(
      LOOK_MS,
      'fault',
      () => 'somebody looks after the brokers',
      () => this.#lookAfter(),
    );
  }

  #restart(id: number): void {
    const { coordinator } = this.#world;
    const done = (): void => void this.#restarting.delete(id);
    const handle = coordinator?.members.find(id)?.handle;
    if (coordinator === undefined || handle === undefined) {
      done();
      return;
    }
    if (handle.state === 'offline') {
      this.#world.storage.heal(id);
      coordinator.lives.kill(id).catch(() => undefined);
    }
    // One of whose end nobody is ever told is not waited for.
    const cancel = this.#world.scheduler.schedule(5_000, 'fault', () => `broker ${id} is given up`, done);
    coordinator.lives.start(id).then(
      () => {
        cancel.action = undefined;
        done();
      },
      (error: unknown) => {
        cancel.action = undefined;
        this.#note(`broker ${id} is not started: ${(error as Error).message}`);
        done();
      },
    );
  }
}
