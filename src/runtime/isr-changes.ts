import type { AlterIsr } from '../core/metadata/commands.ts';
import type { MetadataPartition } from '../core/metadata/image.ts';
import { TidemarkError } from '../errors.ts';
import type { BrokerHandle } from './broker-handle.ts';
import type { ChangeOptions, PartitionChanges } from './partition-changes.ts';
import type { Clock } from './surroundings.ts';
import { pause } from './timers.ts';
import type { Topics } from './topics.ts';

/** Between two looks at a follower that has caught up, but not to the HWM of the moment. */
const ADMIT_RETRY_MS = 20;

/** Who leaves the ISR for a while, and who comes back. */
export class IsrChanges {
  readonly #clock: Clock;
  readonly #topics: Topics;
  readonly #changes: PartitionChanges;
  readonly #runningOf: (broker: number) => BrokerHandle | undefined;
  readonly #epochOf: (broker: number) => number;
  /** Replicas that are being healed: none of them is let in before it is. */
  readonly #barred = new Set<string>();
  /** What is being let in, so that nobody asks twice. */
  readonly #entering = new Set<string>();
  /** Raised when what leaders said before does not count any more. */
  #voided = 0;

  /** `runningOf` has a broker that takes requests, beats, and has its disk; `epochOf` that of its registration. */
  constructor(
    clock: Clock,
    topics: Topics,
    changes: PartitionChanges,
    runningOf: (broker: number) => BrokerHandle | undefined,
    epochOf: (broker: number) => number,
  ) {
    this.#clock = clock;
    this.#topics = topics;
    this.#changes = changes;
    this.#runningOf = runningOf;
    this.#epochOf = epochOf;
  }

  /**
   * Does something that takes records from a replica, while it is not in the ISR: that it has left is written down
   * before. It comes back as any other that has caught up.
   */
  async without<T>(broker: number, partition: number, act: () => Promise<T>): Promise<T> {
    const key = keyOf(broker, partition);
    this.#barred.add(key);
    try {
      await this.#changes.change(() => {
        const info = this.#topics.find(partition);
        if (info === undefined || info.leader === broker) return undefined;
        if (!info.isr.includes(broker) && !info.eligible.includes(broker)) return undefined;
        const isr = info.isr.filter((id) => id !== broker);
        return { ...this.#alter(info, isr), losing: broker };
      });
      // Then perhaps nothing was written down.
      if (this.#changes.isClosing) throw new TidemarkError('CLOSED', 'The cluster is closing.');
      if (this.#topics.find(partition)?.isr.includes(broker) === true) throw new Error('it leads by now');
      return await act();
    } finally {
      this.#barred.delete(key);
      this.#voided += 1;
    }
  }

  /**
   * A replica that was out of sync has all that its leader has. The leader waits for it first, and then it is written
   * down: the other way round it might come to lead without a record that was acknowledged in between (KIP-497). What the
   * leader has said holds as long as the partition stays what it was then, and the broker lives the same life.
   */
  async expand(handle: BrokerHandle, partition: number): Promise<void> {
    const key = `${keyOf(handle.id, partition)} ${handle.life}`;
    if (this.#entering.has(key)) return;
    this.#entering.add(key);
    const isWaitedFor = await this.#expand(handle, partition);
    this.#entering.delete(key);
    // It cannot come in any more, and the leader is not to wait for it.
    const isOut = this.#topics.find(partition)?.isr.includes(handle.id) === false;
    if (isWaitedFor && isOut) await this.#changes.change(() => undefined, this.#retelling(partition));
  }

  /** Whether a leader was made to wait for it. */
  async #expand(handle: BrokerHandle, partition: number): Promise<boolean> {
    let isWaitedFor = false;
    for (let info = this.#candidate(handle, partition); info !== undefined; ) {
      const voided = this.#voided;
      const tellings = this.#changes.tellingsOf(partition);
      const { leader, epoch } = info;
      const request = { type: 'admit', partition, epoch, follower: handle.id } as const;
      const answer = await this.#runningOf(leader)
        ?.request(request)
        .catch(() => false);
      if (answer === true) {
        isWaitedFor = true;
        await this.#enter(handle, info, voided, tellings);
      }
      if (this.#candidate(handle, partition) === undefined) break;
      await pause(this.#clock, ADMIT_RETRY_MS);
      info = this.#candidate(handle, partition);
    }
    return isWaitedFor;
  }

  /** It is written down, if all is still as it was when the leader was `asked`. */
  #enter(handle: BrokerHandle, asked: MetadataPartition, voided: number, tellings: number): Promise<void> {
    const broker = handle.id;
    return this.#changes.change(() => {
      const info = this.#topics.find(asked.id);
      const isCurrent = voided === this.#voided && this.#runningOf(broker) === handle;
      // It was told of the partition since, if only to say what had not changed, and waits for nobody besides.
      if (tellings !== this.#changes.tellingsOf(asked.id)) return undefined;
      // The epoch of the partition tells whether it is still what the leader was asked about.
      if (info?.partitionEpoch !== asked.partitionEpoch || !isCurrent) return undefined;
      if (this.#barred.has(keyOf(broker, asked.id))) return undefined;
      return this.#alter(
        info,
        info.replicas.filter((id) => id === broker || info.isr.includes(id)),
      );
    });
  }

  /**
   * What the leader of that epoch says: these have not kept up. That is written down, if it still leads; only when it hears
   * of it, it waits for them no more. One that it was to let in, and that nobody has written down, it hears of as well.
   */
  async shrink(
    leader: BrokerHandle,
    partition: number,
    epoch: number,
    followers: readonly number[],
  ): Promise<void> {
    await this.#changes.change(() => {
      const info = this.#topics.find(partition);
      if (info?.leader !== leader.id || info.epoch !== epoch) return undefined;
      if (this.#runningOf(leader.id) !== leader) return undefined;
      const isr = info.isr.filter((id) => id === leader.id || !followers.includes(id));
      return isr.length === info.isr.length ? undefined : this.#alter(info, isr);
    }, this.#retelling(partition));
  }

  /**
   * The leader hears once more who is in sync, and waits for nobody besides. What it was asked before that is void: it may
   * have agreed to wait, and does so no more.
   */
  #retelling(partition: number): ChangeOptions {
    return {
      retold: partition,
      announced: () => {
        this.#voided += 1;
      },
    };
  }

  #alter(info: MetadataPartition, isr: readonly number[]): AlterIsr {
    const { id: partition, leader, epoch: leaderEpoch, partitionEpoch } = info;
    const members = isr.map((broker) => ({ broker, epoch: this.#epochOf(broker) }));
    const proposal = { partition, leaderEpoch, partitionEpoch, isr: members };
    return { type: 'alter-isr', broker: leader, epoch: this.#epochOf(leader), ...proposal };
  }

  /** The partition, if that broker can come back into its ISR. */
  #candidate(handle: BrokerHandle, partition: number): MetadataPartition | undefined {
    if (this.#changes.isClosing || this.#runningOf(handle.id) !== handle) return undefined;
    if (this.#barred.has(keyOf(handle.id, partition))) return undefined;
    const info = this.#topics.find(partition);
    if (info?.replicas.includes(handle.id) !== true || info.isr.includes(handle.id)) return undefined;
    return this.#runningOf(info.leader) === undefined ? undefined : info;
  }
}

function keyOf(broker: number, partition: number): string {
  return `${broker} ${partition}`;
}
