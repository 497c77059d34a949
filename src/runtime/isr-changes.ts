import { TidemarkError } from '../errors.ts';
import type { PartitionInfo } from '../types.ts';
import type { BrokerHandle } from './broker-handle.ts';
import type { PartitionChanges } from './partition-changes.ts';
import { pause } from './timers.ts';
import type { Topics } from './topics.ts';

/** Between two looks at a follower that has caught up, but not to the HWM of the moment. */
const ADMIT_RETRY_MS = 20;

/** Who leaves the ISR for a while, and who comes back. */
export class IsrChanges {
  readonly #topics: Topics;
  readonly #changes: PartitionChanges;
  readonly #runningOf: (broker: number) => BrokerHandle | undefined;
  /** Replicas that are being healed: none of them is let in before it is. */
  readonly #barred = new Set<string>();
  /** What is being let in, so that nobody asks twice. */
  readonly #entering = new Set<string>();
  /** How many were. What a leader said of a replica's log before does not count any more. */
  #healed = 0;

  /** `runningOf` has a broker that takes requests, beats, and has its disk. */
  constructor(
    topics: Topics,
    changes: PartitionChanges,
    runningOf: (broker: number) => BrokerHandle | undefined,
  ) {
    this.#topics = topics;
    this.#changes = changes;
    this.#runningOf = runningOf;
  }

  /**
   * Does something that takes records from a replica, while it is not in the ISR: that it has left is written down
   * before. It comes back as any other that has caught up.
   */
  async without<T>(broker: number, partition: number, act: () => Promise<T>): Promise<T> {
    const key = keyOf(broker, partition);
    this.#barred.add(key);
    try {
      const leave = (info: PartitionInfo): PartitionInfo =>
        info.isr.includes(broker) && info.leader !== broker
          ? { ...info, isr: info.isr.filter((id) => id !== broker) }
          : info;
      await this.#changes.change(leave, { partition });
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
        const admit = (each: PartitionInfo): PartitionInfo => {
          const isCurrent = each === asked && healed === this.#healed && this.#runningOf(broker) === handle;
          if (!isCurrent || this.#barred.has(keyOf(broker, partition))) return each;
          return { ...each, isr: each.replicas.filter((id) => id === broker || each.isr.includes(id)) };
        };
        await this.#changes.change(admit, { partition });
      }
      info = this.#candidate(handle, partition);
      if (info === undefined) return;
      await pause(ADMIT_RETRY_MS);
      info = this.#candidate(handle, partition);
    }
  }

  /** The partition as it was announced, if that broker can come back into its ISR. */
  #candidate(handle: BrokerHandle, partition: number): PartitionInfo | undefined {
    if (this.#changes.isClosing || this.#runningOf(handle.id) !== handle) return undefined;
    if (this.#barred.has(keyOf(handle.id, partition))) return undefined;
    const info = this.#topics.announced(partition);
    if (info === undefined || info.isr.includes(handle.id)) return undefined;
    return this.#runningOf(info.leader) === undefined ? undefined : info;
  }
}

function keyOf(broker: number, partition: number): string {
  return `${broker} ${partition}`;
}
