import type { AnswerTo, Command } from '../core/metadata/commands.ts';
import type { MetadataImage } from '../core/metadata/image.ts';
import type { MetadataRecord } from '../core/metadata/records.ts';
import { isUndecided, TidemarkError } from '../errors.ts';
import type { PartitionInfo } from '../types.ts';
import type { BrokerHandle } from './broker-handle.ts';
import type { OpenedReplica } from './directory.ts';
import type { ReplicaMoves } from './replica-moves.ts';
import type { Clock } from './surroundings.ts';
import { pause, timeLimit } from './timers.ts';
import type { TopicInfo, Topics } from './topics.ts';

/** How long one try to write a change down may take, and the pause before the next. */
const TRY_LIMIT_MS = 1_000;
const TRY_PAUSE_MS = 50;
/** For how long the others are not told of a new leader that has not said that it is ready. */
const LEADER_READY_MS = 1_000;

export interface ChangeOptions {
  /** What is to happen in the change's turn, before it is decided on. */
  readonly begin?: () => void;
  /** A broker that is to be told of all that it holds, changed or not. */
  readonly welcomed?: BrokerHandle;
  /** What came of the command. */
  readonly decided?: (answer: unknown) => void;
  readonly refused?: (error: unknown) => void;
  /** A partition that is announced as it stands, changed or not. */
  readonly retold?: number;
  /** In the moment in which all that the turn has to say was said. */
  readonly announced?: () => void;
}

/** What changes ask of the cluster. */
export interface ChangedCluster {
  readonly clock: Clock;
  readonly topics: Topics;
  submit(command: Command, limitMs: number): Promise<unknown>;
  /** Up to which entry of their log the metadata are known. */
  metadataOffset(): number;
  /** The brokers that take requests, disk or no disk. */
  alive(): readonly BrokerHandle[];
  /** Brokers that some replica comes to, or has left. */
  readonly moves: ReplicaMoves;
  /** The memory of a broker that is to be told of everything is made known to it first. */
  greet(broker: BrokerHandle): void;
  /** Logs that a broker had to bring into order first, since others have what is missing there. */
  mended(broker: number, opened: readonly OpenedReplica[]): void;
  /** Everybody sees these from now on. */
  shown(topics: readonly TopicInfo[]): void;
}

interface Item extends ChangeOptions {
  /** What is to be decided on, as things stand in its turn; undefined: nothing any more. */
  readonly commandOf: () => Command | undefined;
  done(): void;
}

/**
 * The one place where changes of who leads partitions and who is in sync are announced. They are made in turns: those that
 * wait are decided on together, written down in the metadata log, and only then announced, to new leaders first, so that
 * followers and clients find them ready. A turn ends before the next one begins: what is decided on was announced, so no
 * broker is asked on the ground of what it has not heard.
 */
export class PartitionChanges {
  readonly #cluster: ChangedCluster;
  readonly #items: Item[] = [];
  /** Partitions that have changed and were not announced. */
  #changed = new Set<number>();
  /** By partition. One that is gone for good leaves a number behind. */
  readonly #tellings = new Map<number, number>();
  #state: 'idle' | 'busy' | 'closing' = 'idle';

  constructor(cluster: ChangedCluster) {
    this.#cluster = cluster;
  }

  get isClosing(): boolean {
    return this.#state === 'closing';
  }

  /** Nothing is written down or announced any more. */
  close(): void {
    this.#state = 'closing';
    for (const { done } of this.#items.splice(0)) done();
  }

  /** What was written down, by whomever. */
  written(records: readonly MetadataRecord[], before: MetadataImage): void {
    for (const record of records) {
      if (record.type !== 'partition-change') continue;
      this.#changed.add(record.id);
      if (record.replicas !== undefined) this.#cluster.moves.written(record, before.partition(record.id));
    }
  }

  /** As change(), for who asks for it: resolves to the answer, and rejects with a refusal. */
  async ask<Each extends Command>(command: Each, limitMs: number): Promise<AnswerTo<Each>> {
    let outcome: { readonly answer: unknown } | undefined;
    let refusal: unknown;
    let isOver = false;
    const done = this.change(() => (isOver ? undefined : command), {
      decided: (answer) => {
        outcome = { answer };
      },
      refused: (error) => {
        refusal = error;
      },
    });
    try {
      await timeLimit(this.#cluster.clock, done, limitMs, () => unfinished(outcome !== undefined));
    } finally {
      isOver = true;
    }
    if (refusal !== undefined) throw refusal;
    if (outcome === undefined) throw new TidemarkError('CLOSED', 'The cluster is closing.');
    return outcome.answer as AnswerTo<Each>;
  }

  /**
   * How often brokers were told of a partition. A leader goes by what it hears last, so what it was asked before holds no
   * more, whether anything had changed or not.
   */
  tellingsOf(partition: number): number {
    return this.#tellings.get(partition) ?? 0;
  }

  /** Resolves when the change was announced, or when there was none to make. A refusal is none. */
  change(commandOf: () => Command | undefined, options: ChangeOptions = {}): Promise<void> {
    if (this.isClosing) return Promise.resolve();
    return new Promise((done) => {
      this.#items.push({ ...options, commandOf, done });
      if (this.#state !== 'idle') return;
      this.#state = 'busy';
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    while (this.#items.length > 0) {
      const items = this.#items.splice(0);
      await this.#turn(items);
      for (const { done } of items) done();
    }
    if (!this.isClosing) this.#state = 'idle';
  }

  async #turn(items: readonly Item[]): Promise<void> {
    for (const { begin } of items) begin?.();
    await Promise.all(items.map((item) => this.#decide(item)));
    if (this.isClosing) return;
    const welcomed = items.flatMap((item) => item.welcomed ?? []);
    const offset = this.#cluster.metadataOffset();
    const changed = this.#changed;
    for (const { retold } of items) if (retold !== undefined) changed.add(retold);
    // Of a topic that nobody sees yet its brokers hear when it is shown.
    this.#changed = new Set([...changed].filter((id) => this.#cluster.topics.isHidden(id)));
    const infos = this.#cluster.topics.infosOf(changed);
    if (infos.length > 0 || welcomed.length > 0) await this.#announce(infos, welcomed);
    for (const { announced } of items) announced?.();
    for (const handle of this.#cluster.alive())
      handle.request({ type: 'metadata', offset }).catch(() => undefined);
  }

  /** Leaders wait meanwhile, as they must: what they go by has to be what a start would find. */
  async #decide({ commandOf, decided, refused }: Item): Promise<void> {
    while (!this.isClosing) {
      const command = commandOf();
      if (command === undefined) return;
      try {
        const answer = await this.#cluster.submit(command, TRY_LIMIT_MS);
        decided?.(answer);
        return;
      } catch (error) {
        // Without a quorum nothing can be decided; with one, what is refused is refused.
        if (!isUndecided(error)) {
          refused?.(error);
          return;
        }
      }
      await pause(this.#cluster.clock, TRY_PAUSE_MS);
    }
  }

  async #announce(changed: readonly PartitionInfo[], welcomed: readonly BrokerHandle[]): Promise<void> {
    const { topics } = this.#cluster;
    const alive = this.#cluster.alive();
    const news = new Map<BrokerHandle, readonly PartitionInfo[]>();
    for (const handle of alive) {
      const isWelcomed = welcomed.includes(handle);
      if (isWelcomed) this.#cluster.greet(handle);
      const infos = isWelcomed ? topics.heldBy(handle.id) : changed;
      news.set(
        handle,
        infos.filter(({ replicas }) => replicas.includes(handle.id)),
      );
    }
    // Counted before anybody is told: what a leader is asked from here on it is asked behind it.
    for (const infos of news.values())
      for (const { id } of infos) this.#tellings.set(id, this.tellingsOf(id) + 1);
    const { moves } = this.#cluster;
    // Before they hear anything else of it.
    for (const handle of alive) moves.add(handle, news.get(handle) ?? []);
    const left = moves.takeLeft();
    const ready = alive.map(async (handle) => {
      const own = (news.get(handle) ?? []).filter(({ leader }) => leader === handle.id);
      if (own.length === 0) return;
      const told = handle.request({ type: 'reform', partitions: own });
      await timeLimit(this.#cluster.clock, told, LEADER_READY_MS, () => new Error('slow'));
    });
    // A leader that fails meanwhile, or hangs, brings a change of its own.
    await Promise.allSettled(ready);
    for (const handle of alive) {
      const gone = topics.infosOf(left.get(handle.id) ?? []);
      const others = [...(news.get(handle) ?? []), ...gone].filter(({ leader }) => leader !== handle.id);
      if (others.length === 0) continue;
      handle.request({ type: 'reform', partitions: others }, Number.POSITIVE_INFINITY).then(
        (opened) => this.#cluster.mended(handle.id, opened as OpenedReplica[]),
        () => undefined,
      );
    }
    this.#cluster.shown(topics.showChanged(changed.map(({ id }) => id)));
    moves.remove(left);
  }
}

function unfinished(isDecided: boolean): TidemarkError {
  return isDecided
    ? new TidemarkError(
        'REQUEST_TIMED_OUT',
        'The change is made, but not all brokers have heard of it in time: one of them may hang. Look at the status.',
      )
    : new TidemarkError(
        'NOT_CONTROLLER',
        'Nothing was changed in time: too few brokers with a vote on the metadata may run, or one of them hangs. Look at the status, and try again.',
      );
}
