import type { ErrorCode, TidemarkError } from '../../../src/errors.ts';
import { encodeBatch } from '../../log/record-batch-fixtures.ts';
import { NumberedRecords } from './sim-batches.ts';
import { REQUEST_TIMEOUT_MS, type SimClient } from './sim-client.ts';

/** Batches of a partition that wait for an answer. */
const IN_FLIGHT_MAX = 5;
/** Nothing more is written meanwhile. */
const WAITING_MAX = 10;
const RETRY_MS = [2, 60] as const;

/** What a producer may hear and try again. */
export const RETRIED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
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
  readonly #records: NumberedRecords;
  readonly #waiting: Outgoing[] = [];
  readonly #inFlight = new Map<number, number>();
  readonly #stop: () => void;
  #underWay = 0;
  #isLater = false;
  #isEnded = false;

  constructor(client: SimClient) {
    this.#client = client;
    this.#records = new NumberedRecords(client);
    this.#stop = client.strand.clock.every(client.world.plan.sendEveryMs, () => this.#write());
  }

  /** Nothing new is written any more. */
  end(): void {
    this.#isEnded = true;
    this.#stop();
  }

  get unanswered(): number {
    return this.#waiting.length + this.#underWay;
  }

  /** Several batches at once, for when another thread is in the midst of something. */
  burst(): void {
    for (let n = 0; n < IN_FLIGHT_MAX && !this.#isEnded; n++) this.#write();
  }

  #write(): void {
    const { dice, world } = this.#client;
    if (this.#waiting.length >= WAITING_MAX) return;
    const { partition, ids, values } = this.#records.next();
    const bytes = encodeBatch(values.map((value) => ({ value })));
    this.#waiting.push({ partition, ids, acks: dice.pick(world.plan.acks), bytes });
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
        const batch = { partition: partitionId, baseOffset, ids, acks, epoch };
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
