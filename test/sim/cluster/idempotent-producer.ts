import type { ErrorCode, TidemarkError } from '../../../src/errors.ts';
import type { NewProducer } from '../../../src/runtime/producer-ids.ts';
import { encodeBatch } from '../../log/record-batch-fixtures.ts';
import { NumberedRecords } from './sim-batches.ts';
import { REQUEST_TIMEOUT_MS, type SimClient } from './sim-client.ts';
import { RETRIED } from './sim-producer.ts';

const IN_FLIGHT_MAX = 5;
const WAITING_MAX = 10;
const RETRY_MS = [2, 60] as const;
/** What is refused because one before it was: it comes again behind that. */
const BEHIND: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
]);

interface Numbered {
  readonly ids: readonly string[];
  readonly bytes: Uint8Array;
}

/** What goes to one partition, in order: the first so many of `batches` are on their way. */
interface Lane {
  readonly partition: number;
  readonly batches: Numbered[];
  sequence: number;
  /** On their way and not answered, and of those the first so many of `batches` that were sent since the last failure. */
  unanswered: number;
  sent: number;
  /** Something has failed: nothing is sent before all that is on its way has an answer. */
  isBroken: boolean;
}

/** Writes with sequence numbers, several batches in flight, and sends again in order what has failed. */
export class IdempotentProducer {
  readonly #client: SimClient;
  readonly #records: NumberedRecords;
  readonly #lanes: Lane[];
  readonly #stop: () => void;
  #producer: NewProducer | undefined;
  #isLater = false;
  #isEnded = false;

  constructor(client: SimClient) {
    this.#client = client;
    this.#records = new NumberedRecords(client);
    const { plan } = client.world;
    this.#lanes = Array.from({ length: plan.partitions }, (_, partition) => ({
      partition,
      batches: [],
      sequence: 0,
      unanswered: 0,
      sent: 0,
      isBroken: false,
    }));
    client.world.onUp((coordinator) => {
      coordinator.newProducerId().then(
        (producer) => {
          this.#producer ??= producer;
        },
        () => undefined,
      );
    });
    this.#stop = client.strand.clock.every(plan.sendEveryMs, () => this.#write());
  }

  end(): void {
    this.#isEnded = true;
    this.#stop();
  }

  get unanswered(): number {
    return this.#lanes.reduce((sum, { batches }) => sum + batches.length, 0);
  }

  /** Several batches at once, for when another thread is in the midst of something. */
  burst(): void {
    for (let n = 0; n < IN_FLIGHT_MAX && !this.#isEnded; n++) this.#write();
  }

  #write(): void {
    const producer = this.#producer;
    if (producer === undefined || this.unanswered >= WAITING_MAX) return;
    const { partition, ids, values } = this.#records.next();
    const lane = this.#lanes[partition];
    const { producerId, producerEpoch } = producer;
    const bytes = encodeBatch(
      values.map((value) => ({ value })),
      { producer: [producerId, producerEpoch, lane.sequence] },
    );
    lane.sequence += ids.length;
    lane.batches.push({ ids, bytes });
    this.#send();
  }

  #send(): void {
    const infos = this.#client.partitions();
    for (const lane of this.#lanes) {
      if (lane.isBroken && lane.unanswered > 0) continue;
      if (lane.isBroken) lane.sent = 0;
      lane.isBroken = false;
      const info = infos[lane.partition];
      if (info === undefined || this.#client.link(info.leader) === undefined) continue;
      while (!lane.isBroken && lane.unanswered < IN_FLIGHT_MAX && lane.sent < lane.batches.length) {
        const batch = lane.batches[lane.sent];
        lane.sent += 1;
        this.#produce(lane, batch, info.id, info.epoch, info.leader);
      }
    }
    if (this.unanswered > 0) this.#later();
  }

  #later(): void {
    if (this.#isLater) return;
    this.#isLater = true;
    this.#client.strand.clock.schedule(this.#client.dice.between(...RETRY_MS), () => {
      this.#isLater = false;
      this.#send();
    });
  }

  #produce(lane: Lane, batch: Numbered, partitionId: number, epoch: number, leader: number): void {
    const { world } = this.#client;
    lane.unanswered += 1;
    this.#client.link(leader)?.produce({
      partitionId,
      epoch,
      acks: -1,
      bytes: batch.bytes,
      timeoutMs: REQUEST_TIMEOUT_MS,
      sent: () => undefined,
      settle: (baseOffset) => {
        lane.unanswered -= 1;
        world.scheduler.mix(baseOffset + 11);
        const at = lane.batches.indexOf(batch);
        // One that had an answer before was sent again all the same.
        if (at === -1) return;
        lane.batches.splice(at, 1);
        lane.sent = Math.max(0, lane.sent - 1);
        const told = { partition: partitionId, baseOffset, ids: batch.ids, acks: -1, epoch } as const;
        for (const observer of world.observers) observer.acknowledged?.(told);
      },
      fail: (error) => {
        lane.unanswered -= 1;
        const isFirst = lane.batches[0] === batch && !lane.isBroken;
        lane.isBroken = true;
        this.#failed(batch, error, isFirst);
      },
    });
  }

  #failed({ ids }: Numbered, { code, message }: TidemarkError, isFirst: boolean): void {
    const { world, name } = this.#client;
    world.scheduler.mix(code.length + 13);
    if (world.scheduler.isTraced) world.scheduler.note(`${name}: ${ids.join(' ')}: ${code}`);
    if (RETRIED.has(code) || (BEHIND.has(code) && !isFirst)) return;
    world.violate(
      'An idempotent producer is refused nothing that is next in its order',
      `${name}, ${ids.join(' ')}: ${code}: ${message}`,
    );
  }
}
