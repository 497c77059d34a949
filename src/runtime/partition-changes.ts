import type { PartitionInfo } from '../types.ts';
import type { BrokerHandle } from './broker-handle.ts';
import type { OpenedReplica } from './directory.ts';
import { pause, timeLimit } from './timers.ts';
import type { TopicInfo, Topics } from './topics.ts';

/** Between two tries to write down a change that cannot be taken back. */
const SAVE_RETRY_MS = 1_000;
/** For how long the others are not told of a new leader that has not said that it is ready. */
const LEADER_READY_MS = 1_000;

/** What a partition is to be; the same object where nothing is to change. */
export type PartitionChange = (info: PartitionInfo) => PartitionInfo;

export interface ChangeOptions {
  /** What is to happen in the change's turn, before it is planned. */
  readonly begin?: () => void;
  /** Only this partition is asked about; otherwise all. */
  readonly partition?: number;
  /** A broker that is to be told of all that it holds, changed or not. */
  readonly welcomed?: BrokerHandle;
}

/** What changes ask of the cluster. */
export interface ChangedCluster {
  readonly topics: Topics;
  /** The brokers that take requests, disk or no disk. */
  alive(): readonly BrokerHandle[];
  /** The memory of a broker that is to be told of everything is made known to it first. */
  greet(broker: BrokerHandle): void;
  /** Logs that a broker had to bring into order first, since others have what is missing there. */
  mended(broker: number, opened: readonly OpenedReplica[]): void;
  /** Everybody sees these from now on. */
  shown(topics: readonly TopicInfo[]): void;
}

interface Item extends ChangeOptions {
  readonly change: PartitionChange;
  done(): void;
}

/**
 * The one place that changes who leads partitions and who is in sync. Changes are made in turns: those that wait are
 * planned together, written down, and only then announced, to new leaders first, so that followers and clients find them
 * ready. A turn ends before the next one is planned: what is planned was announced, so no broker is asked on the ground
 * of what it has not heard.
 */
export class PartitionChanges {
  readonly #cluster: ChangedCluster;
  readonly #items: Item[] = [];
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

  /** Resolves when the change was announced, or when there was none to make. */
  change(change: PartitionChange, options: ChangeOptions = {}): Promise<void> {
    if (this.isClosing) return Promise.resolve();
    return new Promise((done) => {
      this.#items.push({ ...options, change, done });
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
    const { topics } = this.#cluster;
    const changed = new Map<number, PartitionInfo>();
    for (const { begin, change, partition } of items) {
      begin?.();
      for (const info of topics.change(change, partition)) changed.set(info.id, info);
    }
    if (changed.size > 0) await this.#write();
    if (this.isClosing) return;
    const welcomed = items.flatMap((item) => item.welcomed ?? []);
    if (changed.size > 0 || welcomed.length > 0) await this.#announce([...changed.values()], welcomed);
  }

  /** Leaders wait meanwhile, as they must: what they go by has to be what a start would find. */
  async #write(): Promise<void> {
    while (!this.isClosing) {
      try {
        await this.#cluster.topics.commit();
        return;
      } catch {
        await pause(SAVE_RETRY_MS);
      }
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
    const ready = alive.map(async (handle) => {
      const own = (news.get(handle) ?? []).filter(({ leader }) => leader === handle.id);
      if (own.length === 0) return;
      const told = handle.request({ type: 'reform', partitions: own });
      await timeLimit(told, LEADER_READY_MS, () => new Error('slow'));
    });
    // A leader that fails meanwhile, or hangs, brings a change of its own.
    await Promise.allSettled(ready);
    for (const handle of alive) {
      const others = (news.get(handle) ?? []).filter(({ leader }) => leader !== handle.id);
      if (others.length === 0) continue;
      handle.request({ type: 'reform', partitions: others }, Number.POSITIVE_INFINITY).then(
        (opened) => this.#cluster.mended(handle.id, opened as OpenedReplica[]),
        () => undefined,
      );
    }
    const names = new Set(changed.map(({ topic }) => topic));
    this.#cluster.shown(topics.showAll(names));
  }
}
