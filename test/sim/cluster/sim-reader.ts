import { ANY_EPOCH } from '../../../src/api/01-fetch.ts';
import type { FetchAnswer } from '../../../src/client/broker-link.ts';
import { batchBytes } from '../../../src/log/record-batch.ts';
import { recordsIn } from './canon.ts';
import { REQUEST_TIMEOUT_MS, type SimClient } from './sim-client.ts';

const READ_EVERY_MS = [1, 30] as const;
const WAITS_MS = [0, 0, 20] as const;

/** Reads all partitions from their beginnings, of leaders and of others. */
export class SimReader {
  readonly #client: SimClient;
  readonly #offsets: number[];

  constructor(client: SimClient) {
    this.#client = client;
    this.#offsets = Array.from({ length: client.world.plan.partitions }, () => 0);
    for (const [partition] of this.#offsets.entries()) this.#next(partition);
  }

  get offsets(): readonly number[] {
    return this.#offsets;
  }

  #next(partition: number): void {
    const { strand, dice } = this.#client;
    strand.clock.schedule(dice.between(...READ_EVERY_MS), () => this.#read(partition));
  }

  #read(partition: number): void {
    const { dice, world } = this.#client;
    const info = this.#client.partitions()[partition];
    const isAnybody = dice.percent(40);
    const broker = isAnybody ? dice.pick(info?.replicas ?? [0]) : (info?.leader ?? 0);
    const link = this.#client.link(broker);
    if (info === undefined || link === undefined) {
      this.#next(partition);
      return;
    }
    const request = {
      partitionId: info.id,
      offset: this.#offsets[partition],
      maxBytes: world.plan.channelBytes / 4,
      waitMs: dice.pick(WAITS_MS),
      fromAnyReplica: isAnybody,
      epoch: isAnybody ? ANY_EPOCH : info.epoch,
      timeoutMs: 3 * REQUEST_TIMEOUT_MS,
    };
    link.fetch(
      request,
      (answer) => {
        this.#take(partition, info.id, answer);
        this.#next(partition);
      },
      () => this.#next(partition),
    );
  }

  #take(partition: number, id: number, { error, bytes, from, to, hwm }: FetchAnswer): void {
    const { world, name } = this.#client;
    if (error !== 'NONE') return;
    const copy = Buffer.from(bytes.subarray(from, to));
    for (let at = 0; at < copy.length; at += batchBytes(copy, at)) {
      for (const record of recordsIn(copy, at, at + batchBytes(copy, at))) {
        // A read begins with the batch that holds the offset.
        if (record.offset < this.#offsets[partition]) continue;
        const read = { reader: name, partition: id, hwm, ...record };
        for (const observer of world.observers) observer.read?.(read);
        this.#offsets[partition] = record.offset + 1;
      }
    }
  }
}
