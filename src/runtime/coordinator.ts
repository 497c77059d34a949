import { compileKernels } from '../../native-free/kernels/index.ts';
import type { TopicConfig } from '../config.ts';
import { FailureDetector } from '../core/failure-detector.ts';
import type { BrokerIntroduction } from '../core/metadata/commands.ts';
import { TidemarkError } from '../errors.ts';
import {
  BROKER_SESSION_MS,
  BROKERS_A_PROCESS_MAX,
  BROKERS_MAX,
  HEARTBEAT_EVERY_MS,
  SHUT_DOWN_LIMIT_MS,
} from '../limits.ts';
import type { Durability, PartitionInfo, RecoveryProgress, RecoveryReport } from '../types.ts';
import { Arena } from './arena.ts';
import { type Attachment, Attachments } from './attachments.ts';
import { Background } from './background.ts';
import type { BrokerHandle } from './broker-handle.ts';
import { nowMs } from './clock.ts';
import { DamageReports } from './damage-reports.ts';
import { type DataDirectory, refuseOtherBrokers } from './data-directory.ts';
import type {
  BrokerNotice,
  CareSettings,
  ControlRequest,
  OpenedReplica,
  PartitionAssignment,
} from './directory.ts';
import { IsrChanges } from './isr-changes.ts';
import { Members } from './members.ts';
import { Metadata, type QuorumStatus } from './metadata.ts';
import { PartitionChanges } from './partition-changes.ts';
import { type Findings, reasonFor, reportsOf } from './reopening.ts';
import { pause, timeLimit } from './timers.ts';
import { TopicChanges } from './topic-changes.ts';
import { reopenTopics } from './topic-reopening.ts';
import { type KnownTopic, type TopicInfo, Topics } from './topics.ts';
import { newUuid } from './uuid.ts';

/** Between two looks, while a broker's end is waited for, or its leaderships move. */
const DECISION_LOOK_MS = 50;
const SHUT_DOWN_LOOK_MS = 50;
/** What a start of many thousands of partitions may take to be written down. */
const START_LIMIT_MS = 600_000;

/** What a thread other than the main one needs besides. */
export interface ThreadAttachment {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly attachment: Attachment;
  readonly deliveryTimeoutMs: number;
}

/** How a cluster is started. */
export interface CoordinatorOptions {
  readonly durability: Durability;
  readonly directory: DataDirectory;
  /** How many: undefined for those that the directory has, or one where it is new. */
  readonly brokers: number | undefined;
  /** How many of them have a vote on the metadata, at most. */
  readonly controllers: number | undefined;
  /** What topics have where they were given nothing else. */
  readonly config: TopicConfig;
  readonly onRecovery?: ((progress: RecoveryProgress) => void) | undefined;
  /** Where it is to be other than usual. */
  readonly care?: Partial<CareSettings> | undefined;
  /** The same, for how long a broker may give no sign of life. */
  readonly sessionMs?: number | undefined;
}

/** What clients have to know of what happens to brokers and topics. */
export interface ClusterListener {
  /** A life of a broker has ended: what it was asked is not answered any more. */
  brokerEnded(broker: number, life: number, cause: Error): void;
  /** It hangs, and others lead in its place. What it was asked may be answered late, or never. */
  brokerHangs(broker: number, life: number, cause: Error): void;
  /** There is a broker to which a link can be had. */
  brokerStarted(broker: number): void;
  topicsChanged(changed: readonly TopicInfo[], removed: readonly string[]): void;
}

/** The main thread's part of a cluster: which brokers there are, what becomes of their partitions, and who is attached. */
export class Coordinator {
  readonly clusterId: string;
  readonly arena = new Arena();
  readonly module = compileKernels();
  /** What the start had to take out of the brokers' files, and what was found damaged since. */
  readonly recovery: RecoveryReport[] = [];
  /** What has become of voters, for people. */
  readonly notes: string[] = [];
  readonly attachments: Attachments;
  readonly topicChanges: TopicChanges;
  readonly #options: CoordinatorOptions;
  readonly #directory: DataDirectory;
  readonly #metadata: Metadata;
  readonly #topics: Topics;
  readonly #members: Members;
  readonly #changes: PartitionChanges;
  readonly #isr: IsrChanges;
  readonly #background = new Background();
  readonly #damages: DamageReports;
  readonly #detector: FailureDetector;
  readonly #listeners = new Set<ClusterListener>();
  /** By broker: the epoch of its registration, from when its thread is up to when that has ended. */
  readonly #epochs = new Map<number, number>();
  /** By broker: partitions whose logs it could not open. */
  readonly #faulty = new Map<number, Set<number>>();
  /** Brokers that are being stopped: they are given nothing any more. */
  readonly #leaving = new Set<number>();
  /** By broker: what is being done to it. One thing follows the other. */
  readonly #steps = new Map<number, Promise<unknown>>();
  #heartbeat: NodeJS.Timeout | undefined;

  private constructor(options: CoordinatorOptions) {
    const { directory, config, durability, care } = options;
    this.#options = options;
    this.#directory = directory;
    this.clusterId = directory.clusterId;
    const metadata = new Metadata({
      directory,
      voters: options.controllers,
      context: {
        isAlive: (id, epoch) => this.#epochs.get(id) === epoch && this.#isLive(id),
        hasLog: (id, partition) => this.#faulty.get(id)?.has(partition) !== true,
        newUuid,
        defaults: config,
      },
      written: (records) => this.#changes.written(records),
      reported: (sentence) => this.notes.push(sentence),
    });
    this.#metadata = metadata;
    const topics = new Topics(() => metadata.image, config, durability === 'memory');
    this.#topics = topics;
    const members = new Members({
      arena: this.arena,
      module: this.module,
      durability,
      background: this.#background,
      owner: {
        failed: (handle, cause) => this.#failed(handle, cause),
        noticed: (handle, notice) => this.#noticed(handle, notice),
      },
      care,
      homeOf: (id) => directory.home(id),
      partitions: () => topics.nextPartition,
    });
    this.#members = members;
    this.#changes = new PartitionChanges({
      topics,
      submit: (command, limitMs) => metadata.submit(command, limitMs),
      metadataOffset: () => metadata.image.offset,
      alive: () => members.alive.map(({ handle }) => handle),
      greet: (handle) => this.#greet(handle),
      mended: (broker, opened) => this.#report(broker, opened),
      shown: (shown) => this.#tell((listener) => listener.topicsChanged(shown, [])),
    });
    this.#isr = new IsrChanges(
      topics,
      this.#changes,
      (id) => members.running(id),
      (id) => this.#epochs.get(id) ?? -1,
    );
    this.attachments = new Attachments(this.arena, members);
    this.topicChanges = new TopicChanges({
      topics,
      members,
      submit: (command, limitMs) => metadata.submit(command, limitMs),
      // Which it is already: the answer comes behind everything else.
      decided: () => metadata.submit({ type: 'create-cluster', clusterId: this.clusterId }),
      isLive: this.#isLive,
      settle: (begin) => this.#settle(begin),
      shown: (shown) => this.#tell((listener) => listener.topicsChanged(shown, [])),
      gone: (name) => this.#tell((listener) => listener.topicsChanged([], [name])),
    });
    this.#detector = new FailureDetector(HEARTBEAT_EVERY_MS, options.sessionMs ?? BROKER_SESSION_MS);
    const cluster = {
      isr: this.#isr,
      find: (partition: number) => topics.find(partition),
      handleOf: (id: number) => members.find(id)?.handle,
      pathOf: this.homeOf,
    };
    this.#damages = new DamageReports(cluster, this.recovery);
  }

  /** The directory is let go when the cluster closes, and when it cannot be started. */
  static async start(options: CoordinatorOptions): Promise<Coordinator> {
    let coordinator: Coordinator | undefined;
    try {
      coordinator = new Coordinator(options);
      await coordinator.#start();
      return coordinator;
    } catch (error) {
      if (coordinator === undefined) options.directory.close();
      else await coordinator.close();
      throw error;
    }
  }

  /** Those that can be used. */
  get topics(): ReadonlyMap<string, TopicInfo> {
    return this.#topics.visible;
  }

  /** Who decides on the metadata. */
  get quorum(): QuorumStatus {
    return this.#metadata.status;
  }

  /** Of what has changed last about topics. */
  get topicsVersion(): number {
    return this.#topics.version;
  }

  /** A topic with what it was given, and what it has where it was given nothing. */
  knownTopic(name: string): KnownTopic | undefined {
    return this.#topics.known(name);
  }

  /** The broker's directory; '' where it keeps no files. */
  readonly homeOf = (id: number): string => this.#directory.home(id)?.path ?? '';

  get members(): Members {
    return this.#members;
  }

  listen(listener: ClusterListener): void {
    this.#listeners.add(listener);
  }

  /** Asks a broker's thread for something. */
  ask(broker: number, request: ControlRequest): Promise<unknown> {
    return this.#members.get(broker).handle.request(request);
  }

  /** As attach, for a thread that does not share this one's objects. */
  async attachThread(threadId: number, deliveryTimeoutMs: number): Promise<ThreadAttachment> {
    const attachment = await this.attachments.attach(threadId);
    return { memory: this.arena.memory, module: this.module, attachment, deliveryTimeoutMs };
  }

  /** Ends a broker's thread as a crash would. Resolves when others lead in its place. */
  async killBroker(id: number): Promise<void> {
    const { handle } = this.#members.get(id);
    return this.#step(id, async () => {
      await handle.kill();
      // Behind what its end has brought about.
      await this.#whileDecidable(this.#changes.change(() => undefined));
    });
  }

  /** Starts a broker whose thread has ended, on its own data. Resolves when it follows, or leads what it alone has. */
  async startBroker(id: number): Promise<void> {
    this.#members.get(id);
    return this.#step(id, async () => {
      const before = this.#members.get(id).handle;
      if (!before.hasEnded)
        throw new TidemarkError(
          'INVALID_ARGUMENT',
          `Broker ${id} is ${before.state}; only one that has ended can be started.`,
        );
      await this.#bringUp(id);
    });
  }

  /** Lets others lead what this broker leads, and then ends its thread with everything in order. */
  async stopBroker(id: number): Promise<void> {
    const { handle } = this.#members.get(id);
    return this.#step(id, async () => {
      if (handle.hasEnded) return;
      this.#leaving.add(id);
      try {
        await this.#handOver(id);
        await handle.close();
        // As long as its own voter can agree to it.
        await this.#whileDecidable(this.#loseTo(id));
        this.#metadata.brokerEnded(id);
      } finally {
        this.#leaving.delete(id);
      }
      this.#ended(handle, new Error('it was stopped'));
    });
  }

  /** A broker more, for new topics: its id. */
  async addBroker(): Promise<number> {
    const { ids } = this.#members;
    if (ids.length >= BROKERS_A_PROCESS_MAX)
      throw new TidemarkError('INVALID_ARGUMENT', `A cluster has at most ${BROKERS_A_PROCESS_MAX} brokers.`);
    return this.topicChanges.inTurn(async () => {
      const id = freeId(this.#members.ids);
      await this.#step(id, () => this.#bringUp(id));
      this.#shape();
      return id;
    });
  }

  /** Ends a broker that holds no replica, and forgets it. Its directory stays: the path, where it has one. */
  async removeBroker(id: number): Promise<string | undefined> {
    const { handle } = this.#members.get(id);
    return this.topicChanges.inTurn(async () => {
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
          await this.#loseTo(id);
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

  async close(): Promise<void> {
    clearInterval(this.#heartbeat);
    this.#changes.close();
    for (const id of this.#members.ids) this.#members.resume(id);
    // Brokers give up what they have asked of the pool, and the pool what is left of it: neither waits for the other.
    const brokers = this.#members.all.map(({ handle }) => handle.close());
    await Promise.all([...brokers, this.#background.close()]);
    // One that was about to start.
    await Promise.allSettled(this.#steps.values());
    await Promise.all(this.#members.all.map(({ handle }) => handle.close()));
    await this.#metadata.close();
    this.#directory.close();
  }

  async #start(): Promise<void> {
    await this.#metadata.start();
    const ids = this.#brokersToStart();
    const introductions: BrokerIntroduction[] = [];
    for (const id of ids)
      introductions.push({ broker: id, directoryId: await this.#directory.prepare(id), rack: null });
    await this.#members.startAll(ids);
    for (const { handle } of this.#members.all) handle.ready();
    const { recovery, homeOf } = this;
    await reopenTopics({
      topics: this.#topics,
      members: this.#members,
      recovery,
      introductions,
      homeOf,
      submit: (command) => this.#metadata.submit(command, START_LIMIT_MS),
      registered: (epochs, findings) => this.#registered(epochs, findings),
    });
    const { all } = this.#members;
    if (all.every(({ handle }) => handle.state === 'running')) this.#directory.recovered();
    for (const { handle } of all) if (handle.state !== 'running') void this.#loseTo(handle.id);
    this.#shape();
    this.#heartbeat = setInterval(() => this.#lookForSigns(), HEARTBEAT_EVERY_MS);
    this.#heartbeat.unref();
  }

  readonly #isLive = (id: number): boolean =>
    this.#members.running(id) !== undefined && !this.#leaving.has(id);

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

  /** Those of the metadata, or so many as were asked for where there are none yet. */
  #brokersToStart(): number[] {
    const { brokers } = this.#options;
    const made = this.#metadata.image.brokers().map(({ id }) => id);
    if (made.length === 0) return Array.from({ length: brokers ?? 1 }, (_, n) => n + 1);
    if (brokers !== undefined) refuseOtherBrokers(this.#directory.path ?? '', made, brokers);
    return made;
  }

  #registered(epochs: ReadonlyMap<number, number>, findings: Findings): void {
    for (const [id, epoch] of epochs) this.#epochs.set(id, epoch);
    for (const [id, opened] of findings) this.#found(id, opened.values());
  }

  /** Which of its logs a broker has. */
  #found(id: number, opened: Iterable<OpenedReplica>): void {
    const faulty = this.#faulty.get(id) ?? new Set<number>();
    for (const { id: partition, state } of opened) {
      if (state === 'online') faulty.delete(partition);
      else faulty.add(partition);
    }
    this.#faulty.set(id, faulty);
  }

  #shape(): void {
    this.#metadata.shape(() => this.#members.ids);
  }

  /** A new thread opens the broker's logs, and is then told who leads. */
  async #bringUp(id: number): Promise<void> {
    const directoryId = await this.#directory.prepare(id);
    await this.#metadata.brokerReturned(id);
    const home = this.#directory.home(id);
    // Whatever this machine may have lost before this process began has been looked for by then.
    const { handle } = await this.#members.start(id, home && { ...home, wasPowerLost: false });
    const introduction = { broker: id, directoryId, rack: null };
    try {
      const { epoch } = await this.#metadata.submit({ type: 'register-broker', ...introduction });
      this.#epochs.set(id, epoch);
    } catch (error) {
      // Without a registration it is nobody, as it was before.
      await handle.close();
      this.#metadata.brokerEnded(id);
      throw error;
    }
    this.#faulty.delete(id);
    const directories = this.topicChanges.takeOwed(id);
    if (directories.size > 0) handle.request({ type: 'discard', directories }).catch(() => undefined);
    const assignments: PartitionAssignment[] = [];
    for (const { topicId, config, partitions } of this.#topics.written) {
      for (const info of partitions)
        if (info.replicas.includes(id))
          assignments.push({ info: { ...info, leader: -1 }, config, topicId, isKept: true });
    }
    const chunks = this.#members.extendTables();
    const request = { type: 'partitions', partitions: assignments, chunks } as const;
    const opened = (await handle.request(request, Number.POSITIVE_INFINITY)) as OpenedReplica[];
    this.#report(id, opened);
    this.#found(id, opened);
    const findings = new Map([[id, new Map(opened.map((each) => [each.id, each]))]]);
    for (const { isr, leader, ...info } of this.#metadata.image.partitionsOn(id)) {
      const isFaulty = this.#faulty.get(id)?.has(info.id) === true && isr.includes(id);
      if (leader === -1 && isFaulty)
        this.#topics.explain(info.id, reasonFor({ ...info, isr: [id], leader }, findings, this.homeOf));
    }
    await this.#comeBack(handle, () => handle.ready());
  }

  async #comeBack(handle: BrokerHandle, begin: () => void): Promise<void> {
    const { id } = handle;
    const commandOf = () =>
      this.#isLive(id)
        ? ({ type: 'unfence-broker', broker: id, epoch: this.#epochs.get(id) ?? -1 } as const)
        : undefined;
    await this.#changes.change(commandOf, { begin, welcomed: handle });
    if (handle.isAlive) this.#tell((listener) => listener.brokerStarted(id));
  }

  /** Waits for a change, but not once too few voters are left to decide on it: it is made when some are back. */
  async #whileDecidable(changed: Promise<void>): Promise<void> {
    const late = (): Error => new Error('slow');
    for (let isDone = false; !isDone && this.#metadata.hasQuorum; ) {
      isDone = await timeLimit(changed, DECISION_LOOK_MS, late).then(
        () => true,
        () => false,
      );
    }
  }

  /** Others lead what this broker leads, as far as they can, or come to be able soon. */
  async #handOver(id: number): Promise<void> {
    const deadlineMs = nowMs() + SHUT_DOWN_LIMIT_MS;
    for (let isDone = false; !isDone && nowMs() < deadlineMs; ) {
      if (!this.#metadata.hasQuorum) return;
      const epoch = this.#epochs.get(id) ?? -1;
      const command = { type: 'shut-down-broker', broker: id, epoch } as const;
      await this.#whileDecidable(this.#changes.change(() => command));
      isDone = !this.#metadata.image.partitionsLedBy(id).some(({ replicas }) => replicas.some(this.#isLive));
      if (!isDone) await pause(SHUT_DOWN_LOOK_MS);
    }
  }

  /** Room in the tables that it did not hear of while it was away. */
  #greet(handle: BrokerHandle): void {
    const chunks = this.#members.extendTables();
    handle.request({ type: 'partitions', partitions: [], chunks }).catch(() => undefined);
  }

  /** The broker of this registration is dead, hangs, or has no disk: others lead in its place. */
  #loseTo(id: number): Promise<void> {
    const epoch = this.#epochs.get(id);
    if (epoch === undefined) return Promise.resolve();
    return this.#changes.change(() => ({ type: 'fence-broker', broker: id, epoch }));
  }

  /** What brokers that do not live were given since they were fenced is given to others. */
  async #settle(begin: () => void): Promise<void> {
    const lost = this.#members.ids.filter((id) => !this.#isLive(id) && this.#epochs.has(id));
    await Promise.all([
      this.#changes.change(() => undefined, { begin }),
      ...lost.map((id) => this.#loseTo(id)),
    ]);
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
      `Broker ${id} holds replicas of ${held} partitions, for example of '${name}', and is not removed: delete those topics first.`,
    );
  }

  #lookForSigns(): void {
    const beats = new Map<number, number>();
    for (const { handle, vitals } of this.#members.all)
      if (handle.state === 'running' || handle.state === 'fenced') beats.set(handle.id, vitals.loadBeats());
    const { suspected, back } = this.#detector.look(beats, nowMs());
    for (const id of suspected) {
      const { handle } = this.#members.get(id);
      const sentence = `Broker ${id} has given no sign of life for a while: something blocks its thread.`;
      handle.fence(sentence);
      // What clients send until they know who leads instead lies in its channel too.
      void this.#loseTo(id).then(() =>
        this.#tell((listener) => listener.brokerHangs(id, handle.life, new Error(sentence))),
      );
    }
    for (const id of back) {
      const { handle } = this.#members.get(id);
      if (handle.state !== 'fenced') continue;
      void this.#comeBack(handle, () => handle.unfence());
    }
  }

  #report(broker: number, opened: readonly OpenedReplica[]): void {
    const infos = new Map<number, PartitionInfo>();
    for (const { partitions } of this.#topics.written)
      for (const info of partitions) infos.set(info.id, info);
    const known = opened.filter(({ id }) => infos.has(id));
    this.#found(broker, known);
    this.recovery.push(...reportsOf(broker, known, infos, this.homeOf(broker)));
  }

  #tell(tell: (listener: ClusterListener) => void): void {
    for (const listener of this.#listeners) tell(listener);
  }

  #failed(handle: BrokerHandle, cause: Error): void {
    // It may have taken a sleeper's flag down without notifying it.
    this.#members.ringAll();
    this.attachments.ringAll();
    this.#metadata.brokerEnded(handle.id);
    void this.#loseTo(handle.id);
    this.#ended(handle, cause);
  }

  #ended(handle: BrokerHandle, cause: Error): void {
    this.#tell((listener) => listener.brokerEnded(handle.id, handle.life, cause));
  }

  #noticed(handle: BrokerHandle, notice: BrokerNotice): void {
    switch (notice.notice) {
      case 'disk-failed':
        void this.#loseTo(handle.id);
        break;
      case 'caught-up':
        void this.#isr.expand(handle, notice.partition);
        break;
      case 'recovering': {
        const { notice: _, ...progress } = notice;
        this.#options.onRecovery?.({ broker: handle.id, ...progress });
        break;
      }
      default:
        this.#damages.take(handle.id, notice);
    }
  }
}

/** The one after the highest; where there is no higher one, the lowest that is free. */
function freeId(ids: readonly number[]): number {
  const next = Math.max(...ids) + 1;
  if (next < BROKERS_MAX) return next;
  for (let id = 1; ; id++) if (!ids.includes(id)) return id;
}
