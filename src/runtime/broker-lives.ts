import { FailureDetector } from '../core/failure-detector.ts';
import type { BrokerIntroduction } from '../core/metadata/commands.ts';
import { isUndecided, TidemarkError } from '../errors.ts';
import {
  BROKERS_A_PROCESS_MAX,
  BROKERS_MAX,
  CONTROL_TIMEOUT_MS,
  HEARTBEAT_EVERY_MS,
  SHUT_DOWN_LIMIT_MS,
} from '../limits.ts';
import type { BrokerHandle } from './broker-handle.ts';
import type { ClusterListener } from './coordinator.ts';
import type { DataDirectory } from './data-directory.ts';
import type { OpenedReplica, PartitionAssignment } from './directory.ts';
import type { Members } from './members.ts';
import type { Metadata } from './metadata.ts';
import type { PartitionChanges } from './partition-changes.ts';
import { type Findings, reasonFor } from './reopening.ts';
import type { Clock } from './surroundings.ts';
import { Alarm, pause, timeLimit } from './timers.ts';
import type { TopicChanges } from './topic-changes.ts';
import type { Topics } from './topics.ts';

/** How long one try to register a broker may take. */
const REGISTER_TRY_MS = 1_000;
/** Between two looks, while a broker's end is waited for, or its leaderships move. */
const DECISION_LOOK_MS = 50;
const SHUT_DOWN_LOOK_MS = 50;

/** What the brokers' lives ask of the cluster. */
export interface LivesCluster {
  readonly clock: Clock;
  readonly directory: DataDirectory;
  readonly metadata: Metadata;
  readonly topics: Topics;
  readonly members: Members;
  readonly changes: PartitionChanges;
  readonly topicChanges: TopicChanges;
  /** After how long without a sign of life a broker is fenced. */
  readonly sessionMs: number;
  /** What a broker found when it opened its logs. */
  opened(broker: number, opened: readonly OpenedReplica[]): void;
  /** Clients are told. */
  tell(tell: (listener: ClusterListener) => void): void;
}

/**
 * What becomes of brokers in the running cluster: they are killed, stopped, started, added and removed, they hang and wake.
 * Each is registered in the metadata, with an epoch for each life of its thread; what is decided about one of them is
 * decided about that epoch.
 */
export class BrokerLives {
  readonly #directory: DataDirectory;
  readonly #metadata: Metadata;
  readonly #topics: Topics;
  readonly #members: Members;
  readonly #changes: PartitionChanges;
  readonly #topicChanges: TopicChanges;
  readonly #cluster: LivesCluster;
  readonly #detector: FailureDetector;
  readonly #watch: Alarm;
  /** By broker: the epoch of its last registration. */
  readonly #epochs = new Map<number, number>();
  /** By broker: partitions whose logs it could not open. */
  readonly #faulty = new Map<number, Set<number>>();
  /** Brokers that are being stopped: they are given nothing any more. */
  readonly #leaving = new Set<number>();
  /** By life, of those that the last look found running or fenced: when it was alive last, as far as was heard. */
  #heard: ReadonlyMap<number, number | undefined> = new Map();
  /** Those that run, and that the metadata do not know of yet. */
  readonly #unregistered = new Set<BrokerHandle>();
  /** By broker: what is being done to it. One thing follows the other. */
  readonly #steps = new Map<number, Promise<unknown>>();

  constructor(cluster: LivesCluster) {
    this.#cluster = cluster;
    this.#directory = cluster.directory;
    this.#metadata = cluster.metadata;
    this.#topics = cluster.topics;
    this.#members = cluster.members;
    this.#changes = cluster.changes;
    this.#topicChanges = cluster.topicChanges;
    this.#detector = new FailureDetector(HEARTBEAT_EVERY_MS, cluster.sessionMs);
    this.#watch = new Alarm(cluster.clock, () => this.#lookForSigns());
  }

  /** -1 before it was registered. */
  epochOf(id: number): number {
    return this.#epochs.get(id) ?? -1;
  }

  /** Whether a broker may be given something to lead or to hold. */
  isLive(id: number): boolean {
    return this.#members.running(id) !== undefined && !this.#leaving.has(id);
  }

  /** Whether it could open its log of that partition. */
  hasLog(id: number, partition: number): boolean {
    return this.#faulty.get(id)?.has(partition) !== true;
  }

  /** Ends a broker's thread as a crash would. Resolves when others lead in its place. */
  async kill(id: number): Promise<void> {
    const { handle } = this.#members.get(id);
    // At once, as crashes come: what is being done to it may have to wait for others, and ends with it.
    await handle.kill();
    return this.#step(id, async () => {
      // Behind what its end has brought about.
      await this.#whileDecidable(this.#changes.change(() => undefined));
    });
  }

  /** Starts a broker on its own data, whether it runs or not. */
  async restart(id: number): Promise<void> {
    const { handle } = this.#members.get(id);
    this.#requireLinked(id);
    if (!handle.hasEnded) await this.kill(id);
    await this.start(id);
  }

  /**
   * Starts a broker whose thread has ended, on its own data. Resolves when it follows, or leads what it alone has; where too
   * few voters run to decide on that, once its thread runs: the rest comes about when there are enough.
   */
  async start(id: number): Promise<void> {
    this.#members.get(id);
    let runs = (): void => undefined;
    const running = new Promise<void>((resolve) => {
      runs = resolve;
    });
    const started = this.#step(id, async () => {
      this.#requireLinked(id);
      const before = this.#members.get(id).handle;
      if (!before.hasEnded)
        throw new TidemarkError(
          'INVALID_ARGUMENT',
          `Broker ${id} is ${before.state}; only one that has ended can be started.`,
        );
      await this.#bringUp(id, { runs });
    });
    await Promise.race([running, started]);
    await this.#whileDecidable(started);
  }

  /** Lets others lead what this broker leads, and then ends its thread with everything in order. */
  async stop(id: number): Promise<void> {
    const { handle } = this.#members.get(id);
    if (this.#unregistered.has(handle)) await handle.close();
    return this.#step(id, async () => {
      if (handle.hasEnded) return;
      this.#leaving.add(id);
      try {
        await this.#handOver(id);
        await handle.close();
        // As long as its own voter can agree to it.
        await this.#whileDecidable(this.lose(id));
        this.#metadata.brokerEnded(id);
      } finally {
        this.#leaving.delete(id);
      }
      this.#ended(handle, new Error('it was stopped'));
    });
  }

  /** Replaces the disk of a broker by an empty one. Its vote is another one then, and gets what the others have. */
  async wipe(id: number): Promise<void> {
    this.#members.get(id);
    this.#requireLinked(id);
    if (this.#metadata.isAlone(id))
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `Broker ${id} has the only vote on the metadata: without its disk there is no cluster any more.`,
      );
    await this.stop(id);
    await this.#step(id, async () => {
      await this.#members.get(id).handle.exited;
      await this.#metadata.ended(id);
      this.#directory.wipe(id);
      await this.#bringUp(id);
    });
    this.#metadata.shape(() => this.#members.ids);
  }

  /** A broker more, for new topics: its id. */
  async add(rack?: string): Promise<number> {
    const { ids } = this.#members;
    if (ids.length >= BROKERS_A_PROCESS_MAX)
      throw new TidemarkError('INVALID_ARGUMENT', `A cluster has at most ${BROKERS_A_PROCESS_MAX} brokers.`);
    return this.#topicChanges.inTurn(async () => {
      this.#requireQuorum();
      const id = freeId(this.#members.ids);
      await this.#step(id, () => this.#bringUp(id, { given: rack }));
      this.#metadata.shape(() => this.#members.ids);
      return id;
    });
  }

  /** Ends a broker that holds no replica, and forgets it. Its directory stays: the path, where it has one. */
  async remove(id: number): Promise<string | undefined> {
    const { handle } = this.#members.get(id);
    return this.#topicChanges.inTurn(async () => {
      this.#requireRemovable(id);
      this.#requireQuorum();
      const path = this.#directory.home(id)?.path;
      await this.#step(id, async () => {
        this.#leaving.add(id);
        try {
          await this.#metadata.withdraw(
            id,
            this.#members.ids.filter((other) => other !== id),
          );
          if (!handle.hasEnded) await handle.close();
          await this.lose(id);
          await this.#metadata.submit({ type: 'remove-broker', broker: id });
        } finally {
          this.#leaving.delete(id);
        }
        this.#ended(handle, new Error('it was removed'));
        await this.#members.remove(id);
      });
      return path;
    });
  }

  /** All of them at a start. */
  registered(epochs: ReadonlyMap<number, number>, findings: Findings): void {
    for (const [id, epoch] of epochs) this.#epochs.set(id, epoch);
    for (const [id, opened] of findings) this.found(id, opened.values());
  }

  /** Which of its logs a broker has. */
  found(id: number, opened: Iterable<OpenedReplica>): void {
    const faulty = this.#faulty.get(id) ?? new Set<number>();
    for (const { id: partition, state } of opened) {
      if (state === 'online') faulty.delete(partition);
      else faulty.add(partition);
    }
    this.#faulty.set(id, faulty);
  }

  /** The broker of this registration is dead, hangs, or has no disk: others lead in its place. */
  lose(id: number): Promise<void> {
    const epoch = this.#epochs.get(id);
    if (epoch === undefined) return Promise.resolve();
    return this.#changes.change(() => {
      // In the same turn it may have come back: then nothing has to be said, and nobody would take it back afterwards.
      if (this.isLive(id) && this.#epochs.get(id) === epoch) return undefined;
      return { type: 'fence-broker', broker: id, epoch };
    });
  }

  /** What brokers that do not live were given since they were fenced is given to others. */
  async settle(begin: () => void): Promise<void> {
    const lost = this.#members.ids.filter((id) => !this.isLive(id) && this.#epochs.has(id));
    await Promise.all([this.#changes.change(() => undefined, { begin }), ...lost.map((id) => this.lose(id))]);
  }

  #requireLinked(id: number): void {
    if (this.#members.sides.isWithCoordinator(id)) return;
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `Broker ${id} is cut off, and could not be told what it is to do: call faults.heal() first.`,
    );
  }

  #requireQuorum(): void {
    if (this.#metadata.hasQuorum) return;
    throw new TidemarkError(
      'NOT_CONTROLLER',
      'Nothing was changed, because too few brokers with a vote on the metadata run: restart one, and then try again.',
    );
  }

  #requireRemovable(id: number): void {
    if (this.#members.ids.length === 1)
      throw new TidemarkError('INVALID_ARGUMENT', `Broker ${id} is the only one; close the cluster instead.`);
    let held = 0;
    let name = '';
    for (const topic of this.#topics.written) {
      const count = topic.partitions.filter(({ replicas }) => replicas.includes(id)).length;
      if (count > 0) name = topic.name;
      held += count;
    }
    if (held === 0) return;
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `Broker ${id} holds replicas of ${held} partitions, for example of '${name}', and is not removed: move them with cluster.admin.reassign, let cluster.removeBroker(${id}, { reassign: true }) do that, or delete those topics first.`,
    );
  }

  /** From now on brokers that hang are fenced, and let in again once they have woken. */
  watch(): void {
    this.#lookForSigns();
  }

  stopWatching(): void {
    this.#watch.clear();
  }

  #lookForSigns(): void {
    const handles = new Map<number, BrokerHandle>();
    const signs = new Map<number, number | undefined>();
    const { sides } = this.#members;
    const nowMs = this.#cluster.clock.nowMs();
    for (const { handle, vitals } of this.#members.all) {
      const { id, life } = handle;
      if (handle.state !== 'running' && handle.state !== 'fenced') continue;
      handles.set(life, handle);
      signs.set(life, sides.isWithCoordinator(id) ? vitals.lastBeatMs(nowMs) : this.#heard.get(life));
    }
    this.#heard = signs;
    const { suspected, back, nextLookMs } = this.#detector.look(signs, nowMs);
    this.#watch.set(nextLookMs);
    for (const life of suspected) {
      const handle = handles.get(life) as BrokerHandle;
      const { id } = handle;
      const reason = sides.isWithCoordinator(id)
        ? 'something blocks its thread'
        : 'it is cut off until faults.heal()';
      const sentence = `Broker ${id} has given no sign of life for a while: ${reason}.`;
      handle.fence(sentence);
      // What clients send until they know who leads instead lies in its channel too.
      void this.lose(id).then(() =>
        this.#cluster.tell((listener) => listener.brokerHangs(id, life, new Error(sentence))),
      );
    }
    for (const life of back) {
      const handle = handles.get(life) as BrokerHandle;
      if (handle.state !== 'fenced') continue;
      void this.#comeBack(handle, () => {
        // Its turn may have come late, and it may hang again by then: once it is back nobody would look after it.
        if (!this.#detector.isSuspected(life)) handle.unfence();
      });
    }
  }

  /** Nothing is being done to any of them. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#steps.values());
  }

  readonly #homeOf = (id: number): string => this.#directory.home(id)?.path ?? '';

  #step<T>(id: number, act: () => Promise<T>): Promise<T> {
    const done = (this.#steps.get(id) ?? Promise.resolve()).then(() => {
      if (this.#changes.isClosing) throw new TidemarkError('CLOSED', 'The cluster is closing.');
      return act();
    });
    this.#steps.set(
      id,
      done.catch(() => undefined),
    );
    return done;
  }

  /** A new thread opens the broker's logs, and is then told who leads. */
  async #bringUp(
    id: number,
    { given, runs = () => undefined }: { readonly given?: string | undefined; runs?(): void } = {},
  ): Promise<void> {
    const directoryId = await this.#directory.prepare(id);
    await this.#metadata.brokerReturned(id);
    const home = this.#directory.home(id);
    // Whatever this machine may have lost before this process began has been looked for by then.
    const { handle } = await this.#members.start(id, home && { ...home, wasPowerLost: false });
    const rack = given ?? this.#metadata.image.broker(id)?.rack ?? null;
    runs();
    await this.#register(handle, { broker: id, directoryId, rack });
    this.#faulty.delete(id);
    // What has left this broker while it could not hear of it goes with what was deleted.
    const directories = new Map([...this.#topics.foreignTo(id), ...this.#topicChanges.takeOwed(id)]);
    if (directories.size > 0) handle.request({ type: 'discard', directories }).catch(() => undefined);
    const assignments: PartitionAssignment[] = [];
    for (const { topicId, config, partitions } of this.#topics.written) {
      for (const info of partitions) {
        if (!info.replicas.includes(id)) continue;
        const isUnseen = this.#topics.isHidden(info.id);
        assignments.push({ info: { ...info, leader: -1 }, config, topicId, isKept: true, isUnseen });
      }
    }
    const chunks = this.#members.extendTables();
    const request = { type: 'partitions', partitions: assignments, chunks, areAll: true } as const;
    const opened = (await handle.request(request, Number.POSITIVE_INFINITY)) as OpenedReplica[];
    this.#cluster.opened(id, opened);
    this.found(id, opened);
    const findings = new Map([[id, new Map(opened.map((each) => [each.id, each]))]]);
    for (const { isr, leader, ...info } of this.#metadata.image.partitionsOn(id)) {
      const isFaulty = this.#faulty.get(id)?.has(info.id) === true && isr.includes(id);
      if (leader === -1 && isFaulty)
        this.#topics.explain(info.id, reasonFor({ ...info, isr: [id], leader }, findings, this.#homeOf));
    }
    await this.#comeBack(handle, () => handle.ready());
  }

  /** Tries again for as long as there is no quorum, and while it may still be said that this takes its time. */
  async #register(handle: BrokerHandle, introduction: BrokerIntroduction): Promise<void> {
    const { clock } = this.#cluster;
    const command = { type: 'register-broker', ...introduction } as const;
    let deadlineMs = clock.nowMs() + CONTROL_TIMEOUT_MS;
    this.#unregistered.add(handle);
    try {
      for (;;) {
        // Its own vote may be missing for a majority, and may have been lost since, with a disk that failed for a while.
        await this.#metadata.brokerReturned(handle.id);
        try {
          const { epoch } = await this.#metadata.submit(command, REGISTER_TRY_MS);
          this.#epochs.set(handle.id, epoch);
          return;
        } catch (error) {
          if (!this.#metadata.hasQuorum) deadlineMs = clock.nowMs() + CONTROL_TIMEOUT_MS;
          const isOver = handle.hasEnded || this.#changes.isClosing || clock.nowMs() >= deadlineMs;
          if (!isUndecided(error) || isOver) throw error;
        }
      }
    } catch (error) {
      // Without a registration it is nobody, as it was before.
      await handle.close();
      this.#metadata.brokerEnded(handle.id);
      throw error;
    } finally {
      this.#unregistered.delete(handle);
    }
  }

  async #comeBack(handle: BrokerHandle, begin: () => void): Promise<void> {
    const { id } = handle;
    const commandOf = () =>
      this.isLive(id) && !handle.hasEnded
        ? ({ type: 'unfence-broker', broker: id, epoch: this.epochOf(id) } as const)
        : undefined;
    const shown = this.#changes.change(commandOf, { begin, welcomed: handle });
    // Whoever starts it again must not have to wait for a decision about one that has ended: its own vote may be missing.
    await Promise.race([shown, handle.exited]);
    if (handle.isAlive) this.#cluster.tell((listener) => listener.brokerStarted(id));
  }

  /** Waits for a change, but not once too few voters are left to decide on it: it is made when some are back. */
  async #whileDecidable(changed: Promise<void>): Promise<void> {
    const late = new Error('slow');
    // Whatever becomes of it later nobody waits for.
    changed.catch(() => undefined);
    for (let isDone = false; !isDone && this.#metadata.hasQuorum; ) {
      isDone = await timeLimit(this.#cluster.clock, changed, DECISION_LOOK_MS, () => late).then(
        () => true,
        (error) => {
          if (error === late) return false;
          throw error;
        },
      );
    }
  }

  /** Others lead what this broker leads, as far as they can, or come to be able soon. */
  async #handOver(id: number): Promise<void> {
    const deadlineMs = this.#cluster.clock.nowMs() + SHUT_DOWN_LIMIT_MS;
    for (let isDone = false; !isDone && this.#cluster.clock.nowMs() < deadlineMs; ) {
      if (!this.#metadata.hasQuorum) return;
      const epoch = this.epochOf(id);
      const command = { type: 'shut-down-broker', broker: id, epoch } as const;
      await this.#whileDecidable(this.#changes.change(() => command));
      isDone = !this.#metadata.image
        .partitionsLedBy(id)
        .some(({ replicas }) => replicas.some((other) => this.isLive(other)));
      if (!isDone) await pause(this.#cluster.clock, SHUT_DOWN_LOOK_MS);
    }
  }

  #ended(handle: BrokerHandle, cause: Error): void {
    this.#cluster.tell((listener) => listener.brokerEnded(handle.id, handle.life, cause));
  }
}

/** The one after the highest; where there is no higher one, the lowest that is free. */
function freeId(ids: readonly number[]): number {
  const next = Math.max(...ids) + 1;
  if (next < BROKERS_MAX) return next;
  for (let id = 1; ; id++) if (!ids.includes(id)) return id;
}
