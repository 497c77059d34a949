import { compileKernels } from '../../native-free/kernels/index.ts';
import type { TopicConfig } from '../config.ts';
import type { BrokerIntroduction } from '../core/metadata/commands.ts';
import { isMoving } from '../core/metadata/decide-reassignment.ts';
import { TidemarkError } from '../errors.ts';
import { BROKER_SESSION_MS } from '../limits.ts';
import type { Durability, PartitionInfo, QuorumStatus, RecoveryProgress, RecoveryReport } from '../types.ts';
import type { Arena } from './arena.ts';
import { type Attachment, Attachments } from './attachments.ts';
import { Background } from './background.ts';
import type { BrokerHandle } from './broker-handle.ts';
import { BrokerLives } from './broker-lives.ts';
import { DamageReports } from './damage-reports.ts';
import { type DataDirectory, refuseOtherBrokers } from './data-directory.ts';
import type { BrokerNotice, CareSettings, ControlRequest, OpenedReplica } from './directory.ts';
import { IsrChanges } from './isr-changes.ts';
import { Members } from './members.ts';
import { Metadata } from './metadata.ts';
import { PartitionChanges } from './partition-changes.ts';
import { processSurroundings } from './process-surroundings.ts';
import { type NewProducer, ProducerIds } from './producer-ids.ts';
import { Reassignments } from './reassignments.ts';
import { reportsOf } from './reopening.ts';
import { ReplicaMoves } from './replica-moves.ts';
import type { ClusterSurroundings } from './surroundings.ts';
import { TopicChanges } from './topic-changes.ts';
import { reopenTopics } from './topic-reopening.ts';
import { type KnownTopic, type TopicInfo, Topics } from './topics.ts';

/** For how long the process is kept without brokers; each step of a start or an end has a limit of its own. */
const HELD_MS = 600_000;
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
  /** Where brokers stand from now on; others stay where they are. */
  readonly racks?: ReadonlyMap<number, string> | undefined;
  /** How often preferred leaders lead again by themselves, where they are in sync; undefined: never. */
  readonly rebalanceEveryMs?: number | undefined;
  /** What topics have where they were given nothing else. */
  readonly config: TopicConfig;
  readonly onRecovery?: ((progress: RecoveryProgress) => void) | undefined;
  /** Where it is to be other than usual. */
  readonly care?: Partial<CareSettings> | undefined;
  /** The same, for how long a broker may give no sign of life. */
  readonly sessionMs?: number | undefined;
  /** What it runs in. Default: this process, with a thread for each broker. */
  readonly surroundings?: ClusterSurroundings | undefined;
}

/** What clients have to know of what happens to brokers and topics. */
export interface ClusterListener {
  /** A life of a broker has ended: what it was asked is not answered any more. */
  brokerEnded(broker: number, life: number, cause: Error): void;
  /** It hangs, and others lead in its place. What it was asked may be answered late, or never. */
  brokerHangs(broker: number, life: number, cause: Error): void;
  /** There is a broker to which a link can be had. */
  brokerStarted(broker: number): void;
  /** Of one client alone: this life of the broker listens to it no more, and answers nothing that it was asked. */
  linkCut(client: number, broker: number, life: number, cause: Error): void;
  topicsChanged(changed: readonly TopicInfo[], removed: readonly string[]): void;
}

/** The main thread's part of a cluster: which brokers there are, what becomes of their partitions, and who is attached. */
export class Coordinator {
  readonly clusterId: string;
  readonly arena: Arena;
  readonly module = compileKernels();
  /** What the start had to take out of the brokers' files, and what was found damaged since. */
  readonly recovery: RecoveryReport[] = [];
  readonly attachments: Attachments;
  readonly topicChanges: TopicChanges;
  /** Brokers that come and go. */
  readonly lives: BrokerLives;
  /** Partitions that go from broker to broker. */
  readonly reassignments: Reassignments;
  readonly #options: CoordinatorOptions;
  readonly #surroundings: ClusterSurroundings;
  readonly #directory: DataDirectory;
  readonly #metadata: Metadata;
  readonly #topics: Topics;
  readonly #members: Members;
  readonly #changes: PartitionChanges;
  readonly #isr: IsrChanges;
  readonly #background = new Background();
  readonly #damages: DamageReports;
  readonly #producerIds = new ProducerIds(() => this.#allocateProducerIds());
  readonly #listeners = new Set<ClusterListener>();
  #stopBalancing: (() => void) | undefined;

  private constructor(options: CoordinatorOptions) {
    const { directory, config, durability, surroundings = processSurroundings } = options;
    this.#surroundings = surroundings;
    this.#options = options;
    this.arena = surroundings.newArena();
    const { clock } = surroundings;
    this.#directory = directory;
    this.clusterId = directory.clusterId;
    const metadata = this.#newMetadata();
    this.#metadata = metadata;
    const topics = new Topics(() => metadata.image, config, durability === 'memory');
    this.#topics = topics;
    const members = this.#newMembers(topics);
    this.#members = members;
    this.#changes = new PartitionChanges({
      clock,
      topics,
      submit: (command, limitMs) => metadata.submit(command, limitMs),
      metadataOffset: () => metadata.image.offset,
      alive: () => members.alive.map(({ handle }) => handle),
      moves: this.#newMoves(topics),
      greet: (handle) => this.#greet(handle),
      mended: (broker, opened) => this.#report(broker, opened),
      shown: (shown) => this.#tell((listener) => listener.topicsChanged(shown, [])),
    });
    this.#isr = new IsrChanges(
      clock,
      topics,
      this.#changes,
      (id) => members.running(id),
      (id) => this.lives.epochOf(id),
    );
    this.attachments = new Attachments(this.arena, members, surroundings.sizes, (id) => this.rackOf(id));
    this.topicChanges = new TopicChanges({
      clock,
      topics,
      members,
      submit: (command, limitMs) => metadata.submit(command, limitMs),
      // Which it is already: the answer comes behind everything else.
      decided: () => metadata.submit({ type: 'create-cluster', clusterId: this.clusterId }),
      isLive: (id) => this.lives.isLive(id),
      isEmptied: (id) => this.reassignments.isEmptied(id),
      isClosing: () => this.#changes.isClosing,
      settle: (begin) => this.lives.settle(begin),
      shown: (shown) => this.#tell((listener) => listener.topicsChanged(shown, [])),
      gone: (name) => this.#tell((listener) => listener.topicsChanged([], [name])),
    });
    this.lives = new BrokerLives({
      clock,
      directory,
      metadata,
      topics,
      members,
      changes: this.#changes,
      topicChanges: this.topicChanges,
      sessionMs: options.sessionMs ?? BROKER_SESSION_MS,
      opened: (broker, opened) => this.#report(broker, opened),
      tell: (tell) => this.#tell(tell),
    });
    this.reassignments = this.#newReassignments(metadata);
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
      await coordinator.#held(coordinator.#start());
      return coordinator;
    } catch (error) {
      if (coordinator === undefined) options.directory.close();
      // What has failed first says more than what fails for it.
      else await coordinator.close().catch(() => undefined);
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

  /** Where a broker stands, if anybody has said so. */
  rackOf(id: number): string | null {
    return this.#metadata.image.broker(id)?.rack ?? null;
  }

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

  /** Ends all isolation. */
  heal(): void {
    this.#members.heal();
    this.#metadata.elect();
  }

  /** An id that no producer has or had. */
  newProducerId(): Promise<NewProducer> {
    return this.#producerIds.next();
  }

  /** As attach, for a thread that does not share this one's objects. */
  async attachThread(threadId: number, deliveryTimeoutMs: number): Promise<ThreadAttachment> {
    const attachment = await this.attachments.attach(threadId);
    return { memory: this.arena.memory, module: this.module, attachment, deliveryTimeoutMs };
  }

  async close(): Promise<void> {
    await this.#held(this.#close());
  }

  /** Whoever waits for a start or an end may have nothing else to live for while no broker runs. */
  #held(done: Promise<void>): Promise<void> {
    return done.finally(this.#surroundings.clock.scheduleKept(HELD_MS, () => undefined));
  }

  async #close(): Promise<void> {
    this.lives.stopWatching();
    this.#stopBalancing?.();
    this.#changes.close();
    for (const id of this.#members.ids) this.#members.resume(id);
    this.#members.heal();
    // Brokers give up what they have asked of the pool, and the pool what is left of it: neither waits for the other.
    const brokers = this.#members.all.map(({ handle }) => handle.close());
    await Promise.all([...brokers, this.#background.close()]);
    // One that was about to start.
    await this.lives.settled();
    await this.reassignments.settled();
    await Promise.all(this.#members.all.map(({ handle }) => handle.close()));
    try {
      await this.#metadata.close();
    } finally {
      this.#directory.close();
    }
  }

  async #start(): Promise<void> {
    await this.#metadata.start();
    const ids = this.#brokersToStart();
    const introductions: BrokerIntroduction[] = [];
    for (const id of ids) {
      const rack = this.#options.racks?.get(id) ?? this.rackOf(id);
      introductions.push({ broker: id, directoryId: await this.#directory.prepare(id), rack });
    }
    await this.#members.startAll(ids);
    for (const { handle } of this.#members.all) handle.ready();
    const { recovery, homeOf } = this;
    await reopenTopics({
      topics: this.#topics,
      members: this.#members,
      recovery,
      introductions,
      hasRunBefore: this.#directory.isKept && !this.#directory.isNew,
      homeOf,
      submit: (command) => this.#metadata.submit(command, START_LIMIT_MS),
      registered: (epochs, findings) => this.lives.registered(epochs, findings),
      mended: (broker, opened) => this.#report(broker, opened),
    });
    const { all } = this.#members;
    if (all.every(({ handle }) => handle.state === 'running')) this.#directory.recovered();
    for (const { handle } of all) if (handle.state !== 'running') void this.lives.lose(handle.id);
    this.#metadata.shape(() => this.#members.ids);
    // Brokers hear up to which entry of the metadata that was, moves or no moves.
    this.#endReassignments();
    const { clock } = this.#surroundings;
    this.lives.watch();
    const { rebalanceEveryMs } = this.#options;
    if (rebalanceEveryMs !== undefined)
      this.#stopBalancing = clock.every(rebalanceEveryMs, () => this.#balanceLeaders());
  }

  #newMetadata(): Metadata {
    const { directory, controllers, config } = this.#options;
    const { clock, random, newUuid } = this.#surroundings;
    return new Metadata({
      clock,
      random,
      directory,
      voters: controllers,
      context: {
        isAlive: (id, epoch) => this.lives.epochOf(id) === epoch && this.lives.isLive(id),
        isEmptied: (id) => this.reassignments.isEmptied(id),
        hasLog: (id, partition) => this.lives.hasLog(id, partition),
        logEnd: (id, partition) => this.#members.logEnd(id, partition),
        newUuid,
        defaults: config,
      },
      sides: () => this.#members.sides,
      written: (records, before) => this.#changes.written(records, before),
    });
  }

  #newReassignments(metadata: Metadata): Reassignments {
    return new Reassignments({
      clock: this.#surroundings.clock,
      members: this.#members,
      changes: this.#changes,
      image: () => metadata.image,
      isLive: (id) => this.lives.isLive(id),
    });
  }

  /** Preferred leaders that have come back into sync lead again. */
  #balanceLeaders(): void {
    const { image, hasQuorum } = this.#metadata;
    const isMoved = image
      .partitions()
      .some(({ leader, replicas }) => leader !== -1 && leader !== replicas[0]);
    if (isMoved && hasQuorum) void this.#changes.change(() => ({ type: 'balance-leaders' }));
  }

  /** Those that only waited for somebody who can take over. */
  #endReassignments(): void {
    const areMoving = (): boolean => this.#metadata.image.partitions().some(isMoving);
    void this.#changes.change(() => (areMoving() ? { type: 'end-reassignments' } : undefined));
  }

  #newMoves(topics: Topics): ReplicaMoves {
    return new ReplicaMoves({
      clock: this.#surroundings.clock,
      topics,
      threads: () => this.#members.all.map(({ handle }) => handle).filter(({ hasEnded }) => !hasEnded),
      opened: (broker, opened) => this.lives.found(broker, opened),
    });
  }

  #newMembers(topics: Topics): Members {
    const { durability, care } = this.#options;
    return new Members({
      surroundings: this.#surroundings,
      arena: this.arena,
      module: this.module,
      durability,
      background: this.#background,
      owner: {
        failed: (handle, cause) => this.#failed(handle, cause),
        noticed: (handle, notice) => this.#noticed(handle, notice),
      },
      care,
      homeOf: (id) => this.#directory.home(id),
      partitions: () => topics.nextPartition,
    });
  }

  #allocateProducerIds(): Promise<{ readonly first: number; readonly count: number }> {
    // Blocks are given to brokers; it does not matter to which.
    const [{ id: broker, epoch }] = this.#metadata.image.brokers();
    return this.#metadata.submit({ type: 'allocate-producer-ids', broker, epoch });
  }

  /** Those of the metadata, or so many as were asked for where there are none yet. */
  #brokersToStart(): number[] {
    const { brokers, racks = new Map<number, string>() } = this.#options;
    const made = this.#metadata.image.brokers().map(({ id }) => id);
    const ids = made.length > 0 ? made : Array.from({ length: brokers ?? 1 }, (_, n) => n + 1);
    const stranger = [...racks.keys()].find((id) => !ids.includes(id));
    if (stranger !== undefined) {
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `There is no broker ${stranger}, of which racks says where it stands; there are ${ids.join(', ')}.`,
      );
    }
    if (made.length > 0 && brokers !== undefined)
      refuseOtherBrokers(this.#directory.path ?? '', made, brokers);
    return ids;
  }

  /** Room in the tables that it did not hear of while it was away. */
  #greet(handle: BrokerHandle): void {
    const chunks = this.#members.extendTables();
    handle.request({ type: 'partitions', partitions: [], chunks }).catch(() => undefined);
  }

  #report(broker: number, opened: readonly OpenedReplica[]): void {
    const infos = new Map<number, PartitionInfo>();
    for (const { id } of opened) {
      const partition = this.#metadata.image.partition(id);
      if (partition !== undefined) infos.set(id, partition);
    }
    const known = opened.filter(({ id }) => infos.has(id));
    this.lives.found(broker, known);
    this.recovery.push(...reportsOf(broker, known, infos, this.homeOf(broker)));
    // Who could not lead may be able to now.
    if (known.some(({ state }) => state === 'online')) this.#endReassignments();
  }

  #tell(tell: (listener: ClusterListener) => void): void {
    for (const listener of this.#listeners) tell(listener);
  }

  #failed(handle: BrokerHandle, cause: Error): void {
    // It may have taken a sleeper's flag down without notifying it.
    this.#members.ringAll();
    this.attachments.ringAll();
    this.#metadata.brokerEnded(handle.id, this.lives.lose(handle.id));
    this.#ended(handle, cause);
  }

  #ended(handle: BrokerHandle, cause: Error): void {
    this.#tell((listener) => listener.brokerEnded(handle.id, handle.life, cause));
  }

  #noticed(handle: BrokerHandle, notice: BrokerNotice): void {
    switch (notice.notice) {
      case 'disk-failed':
        void this.lives.lose(handle.id);
        break;
      case 'caught-up':
        void this.#isr.expand(handle, notice.partition);
        break;
      case 'lagging':
        void this.#isr.shrink(handle, notice.partition, notice.epoch, notice.followers);
        break;
      case 'link-cut': {
        const cause = new Error(`it was sent what no client sends (${notice.why}), and listens no more`);
        this.#tell((listener) => listener.linkCut(notice.client, handle.id, handle.life, cause));
        break;
      }
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
