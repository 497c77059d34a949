import type { ErrorCode, TidemarkError } from '../../../src/errors.ts';
import { encodeBatch } from '../../log/record-batch-fixtures.ts';
import { REQUEST_TIMEOUT_MS, type SimClient } from './sim-client.ts';

/** Batches of a partition that wait for an answer. */
const IN_FLIGHT_MAX = 5;
/** Nothing more is written meanwhile. */
const WAITING_MAX = 10;
const RECORDS_MAX = 3;
const RETRY_MS = [2, 60] as const;
/** The header of a batch, and what a record has besides its value, at most. */
const OVERHEAD_BYTES = 200;

/** What a producer may hear and try again. */
const RETRIED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'BROKER_FAILED',
  'KAFKA_STORAGE_ERROR',
  'LEADER_NOT_AVAILABLE',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'NOT_LEADER_OR_FOLLOWER',
  'FENCED_LEADER_EPOCH',
  'REQUEST_TIMED_OUT',
  'UNKNOWN_LEADER_EPOCH',
  'UNKNOWN_TOPIC_OR_PARTITION',
]);

interface Outgoing {
  readonly partition: number;
  readonly ids: readonly string[];
  readonly acks: 0 | 1 | -1;
  readonly bytes: Uint8Array;
}

/** Writes numbered records, and tries again for as long as it takes. */
export class SimProducer {
  readonly #client: SimClient;
  readonly #waiting: Outgoing[] = [];
  readonly #inFlight = new Map<number, number>();
  readonly #stop: () => void;
  #records = 0;
  #underWay = 0;
  #isLater = false;

  constructor(client: SimClient) {
    this.#client = client;
    this.#stop = client.strand.clock.every(client.world.plan.sendEveryMs, () => this.#write());
  }

  /** Nothing new is written any more. */
  end(): void {
    this.#stop();
  }

  get unanswered(): number {
    return this.#waiting.length + this.#underWay;
  }

  #write(): void {
    const { dice, world, name } = this.#client;
    const { plan } = world;
    if (this.#waiting.length >= WAITING_MAX) return;
    const partition = dice.below(plan.partitions);
    const room = Math.min(plan.ringBytes / 4, plan.channelBytes / 4) - OVERHEAD_BYTES;
    const ids: string[] = [];
    const values: Buffer[] = [];
    let left = room;
    for (let n = 1 + dice.below(RECORDS_MAX); n > 0; n--) {
      const size = Math.min(dice.pick(plan.valueBytes), left - OVERHEAD_BYTES / 2);
      if (size < 10 && ids.length > 0) break;
      this.#records += 1;
      const id = `${name}-${this.#records}`;
      ids.push(id);
      values.push(Buffer.from(`${id}:`.padEnd(size, '.')));
      left -= size + OVERHEAD_BYTES / 4;
    }
    const bytes = encodeBatch(values.map((value) => ({ value })));
    this.#waiting.push({ partition, ids, acks: dice.pick(plan.acks), bytes });
    this.#send();
  }

  #send(): void {
    if (this.#waiting.length === 0) return;
    const infos = this.#client.partitions();
    for (const outgoing of this.#waiting.splice(0)) {
      const info = infos[outgoing.partition];
      const link = info === undefined ? undefined : this.#client.link(info.leader);
      const inFlight = this.#inFlight.get(outgoing.partition) ?? 0;
      if (info === undefined || link === undefined || inFlight >= IN_FLIGHT_MAX) this.#waiting.push(outgoing);
      else this.#produce(outgoing, info.id, info.epoch, info.leader);
    }
    this.#later();
  }

  /** One look serves all that wait. */
  #later(): void {
    if (this.#waiting.length === 0 || this.#isLater) return;
    this.#isLater = true;
    this.#client.strand.clock.schedule(this.#client.dice.between(...RETRY_MS), () => {
      this.#isLater = false;
      this.#send();
    });
  }

  #produce(outgoing: Outgoing, partitionId: number, epoch: number, leader: number): void {
    const { partition, acks, ids, bytes } = outgoing;
    const { world } = this.#client;
    this.#underWay += 1;
    this.#inFlight.set(partition, (this.#inFlight.get(partition) ?? 0) + 1);
    const done = (): void => {
      this.#underWay -= 1;
      this.#inFlight.set(partition, (this.#inFlight.get(partition) ?? 0) - 1);
    };
    this.#client.link(leader)?.produce({
      partitionId,
      epoch,
      acks,
      timeoutMs: REQUEST_TIMEOUT_MS,
      bytes,
      sent: () => undefined,
      settle: (baseOffset) => {
        done();
        world.scheduler.mix(baseOffset + 7);
        if (acks === 0) return;
        const batch = { partition: partitionId, baseOffset, ids, acks };
        for (const observer of world.observers) observer.acknowledged?.(batch);
      },
      fail: (error) => {
        done();
        this.#failed(outgoing, error);
      },
    });
  }

  #failed(outgoing: Outgoing, error: TidemarkError): void {
    const { world, name } = this.#client;
    world.scheduler.mix(error.code.length);
    if (world.scheduler.isTraced) world.scheduler.note(`${name}: ${outgoing.ids.join(' ')}: ${error.code}`);
    if (!RETRIED.has(error.code))
      world.violate(
        'A producer hears nothing that it could not try again',
        `${error.code}: ${error.message}`,
      );
    this.#waiting.push(outgoing);
    this.#later();
  }
}
