import { TidemarkError } from '../errors.ts';
import type { PartitionInfo } from '../types.ts';
import type { BrokerHandle } from './broker-handle.ts';
import { pause } from './timers.ts';
import type { Topics } from './topics.ts';

/** Between two tries to write down a change that cannot be taken back. */
const SAVE_RETRY_MS = 1_000;
/** Between two looks at a follower that has caught up, but not to the HWM of the moment. */
const ADMIT_RETRY_MS = 20;

/** Who leaves the ISR, and who comes back. Every change is written down before any leader goes by a smaller ISR. */
export class IsrChanges {
  readonly #topics: Topics;
  readonly #handles: () => readonly BrokerHandle[];
  #isClosing = false;
  /** Replicas that are being healed: none of them is let in before it is. */
  readonly #barred = new Set<string>();
  /** How many were. What a leader said of a replica's log before does not count any more. */
  #healed = 0;

  constructor(topics: Topics, handles: () => readonly BrokerHandle[]) {
    this.#topics = topics;
    this.#handles = handles;
  }

  close(): void {
    this.#isClosing = true;
  }

  /**
   * A broker that is dead or has no disk is in sync with nobody. Where it led, it stays the leader: this version elects
   * no other. Were a leader to go on before the change is written down, a record might be acknowledged that the broker
   * lacks, and the next start would still believe that it has everything.
   */
  async shrink(lost: number): Promise<void> {
    const changed = this.#topics.plan((info) => {
      if (info.leader === lost || !info.isr.includes(lost)) return info;
      return { ...info, isr: info.isr.filter((broker) => broker !== lost) };
    });
    if (changed.length > 0) await this.#announce(changed);
  }

  /**
   * Does something that takes records from a replica, while it is not in the ISR: that it has left is written down
   * before. It comes back as any other that has caught up.
   */
  async without<T>(broker: number, partition: number, act: () => Promise<T>): Promise<T> {
    const key = keyOf(broker, partition);
    this.#barred.add(key);
    try {
      const changed = this.#topics.plan((info) => {
        if (info.id !== partition || !info.isr.includes(broker)) return info;
        return { ...info, isr: info.isr.filter((id) => id !== broker) };
      });
      if (changed.length > 0) await this.#announce(changed);
      // Then perhaps nothing was written down.
      if (this.#isClosing) throw new TidemarkError('CLOSED', 'The cluster is closing.');
      return await act();
    } finally {
      this.#barred.delete(key);
      this.#healed += 1;
    }
  }

  /**
   * A replica that was out of sync has all that its leader has. The leader waits for it first, and then it is written
   * down: the other way round a start might let it lead without a record that was acknowledged in between (KIP-497).
   */
  async expand(broker: number, partition: number): Promise<void> {
    for (let info = this.#candidate(broker, partition); info !== undefined; ) {
      const leader = this.#running(info.leader);
      const request = { type: 'admit', partition, follower: broker } as const;
      const healed = this.#healed;
      const isAdmitted = (await leader?.request(request).catch(() => false)) === true;
      const isCurrent = healed === this.#healed && !this.#barred.has(keyOf(broker, partition));
      if (isAdmitted && isCurrent) return this.#admitted(broker, info);
      await pause(ADMIT_RETRY_MS);
      info = this.#candidate(broker, partition);
    }
  }

  async #admitted(broker: number, info: PartitionInfo): Promise<void> {
    const isRunning = this.#running(broker) !== undefined;
    const changed = this.#topics.plan((each) => {
      if (each.id !== info.id || !isRunning || each.isr.includes(broker)) return each;
      return { ...each, isr: each.replicas.filter((id) => id === broker || each.isr.includes(id)) };
    });
    // One that has failed meanwhile is not waited for: its leader hears of the ISR as it stands.
    await this.#announce(changed.length > 0 ? changed : [this.#topics.find(info.id) ?? info]);
  }

  /** The partition, if that broker can come back into its ISR. */
  #candidate(broker: number, partition: number): PartitionInfo | undefined {
    if (this.#isClosing || this.#running(broker) === undefined) return undefined;
    if (this.#barred.has(keyOf(broker, partition))) return undefined;
    const info = this.#topics.find(partition);
    if (info === undefined || info.isr.includes(broker)) return undefined;
    return this.#running(info.leader) === undefined ? undefined : info;
  }

  #running(broker: number): BrokerHandle | undefined {
    return this.#handles().find(({ id, state }) => id === broker && state === 'running');
  }

  async #announce(changed: readonly PartitionInfo[]): Promise<void> {
    for (;;) {
      if (this.#isClosing) return;
      try {
        await this.#topics.commit();
        break;
      } catch {
        // Leaders wait meanwhile, as they must.
        await pause(SAVE_RETRY_MS);
      }
    }
    // What was planned since is announced too, by whoever planned it, and has been written with this.
    const partitions = changed.map((info) => this.#topics.find(info.id) ?? info);
    for (const handle of this.#handles()) {
      // A broker that fails meanwhile brings its own change of the ISR.
      if (handle.isAlive) handle.request({ type: 'reform', partitions }).catch(() => undefined);
    }
  }
}

function keyOf(broker: number, partition: number): string {
  return `${broker} ${partition}`;
}
