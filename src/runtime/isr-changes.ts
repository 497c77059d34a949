import type { AlterIsr } from '../core/metadata/commands.ts';
import type { MetadataPartition } from '../core/metadata/image.ts';
import { TidemarkError } from '../errors.ts';
import type { BrokerHandle } from './broker-handle.ts';
import type { PartitionChanges } from './partition-changes.ts';
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
  /** How many were. What a leader said of a replica's log before does not count any more. */
  #healed = 0;

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
      this.#healed += 1;
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
    await this.#expand(handle, partition);
    this.#entering.delete(key);
  }

  async #expand(handle: BrokerHandle, partition: number): Promise<void> {
    const broker = handle.id;
    for (let info = this.#candidate(handle, partition); info !== undefined; ) {
      const asked = info;
      const { epoch } = asked;
      const healed = this.#healed;
      const request = { type: 'admit', partition, epoch, follower: broker } as const;
      const answer = await this.#runningOf(asked.leader)
        ?.request(request)
        .catch(() => false);
      if (answer === true) {
        await this.#changes.change(() => {
          const each = this.#topics.find(partition);
          const isCurrent = healed === this.#healed && this.#runningOf(broker) === handle;
          // The epoch of the partition tells whether it is still what the leader was asked about.
          if (each?.partitionEpoch !== asked.partitionEpoch || !isCurrent) return undefined;
          if (this.#barred.has(keyOf(broker, partition))) return undefined;
          return this.#alter(
            each,
            each.replicas.filter((id) => id === broker || each.isr.includes(id)),
          );
        });
      }
      info = this.#candidate(handle, partition);
      if (info === undefined) return;
      await pause(this.#clock, ADMIT_RETRY_MS);
      info = this.#candidate(handle, partition);
    }
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
    if (info === undefined || info.isr.includes(handle.id)) return undefined;
    return this.#runningOf(info.leader) === undefined ? undefined : info;
  }
}

function keyOf(broker: number, partition: number): string {
  return `${broker} ${partition}`;
}
