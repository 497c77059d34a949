import type { MessagePort } from 'node:worker_threads';
import { crc32c } from '../../native-free/crc32c/index.ts';
import type { Replica } from '../core/replica.ts';
import { CATCH_UP_BYTES } from '../limits.ts';
import { copyOf } from '../log/copy.ts';
import {
  batchBytes,
  CRC_FROM,
  checkBatch,
  nextOffset,
  readBaseOffset,
  readCrc,
} from '../log/record-batch.ts';
import type { Extent, PartitionLog } from '../types.ts';
import type { BrokerHost } from './broker-host.ts';
import { nowMs } from './clock.ts';

/** A follower asks a leader for what its log lacks: Kafka's Fetch between replicas, over a port. */
interface LogRequest {
  readonly type: 'request';
  readonly partitions: readonly { readonly id: number; readonly epoch: number; readonly leo: number }[];
}

type LogError = 'NONE' | 'NOT_LEADER_OR_FOLLOWER' | 'OFFSET_OUT_OF_RANGE';

interface LogResult {
  readonly id: number;
  readonly error: LogError;
  readonly logStart: number;
  /** Whole batches from the follower's LEO; empty where it has everything, or where the answer was full. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  /** The offset after them. */
  readonly end: number;
  /** Set where the follower then has all that the leader has: later batches lie in the ring from here on. */
  readonly ringPosition: number | undefined;
}

interface LogAnswer {
  readonly type: 'answer';
  readonly results: readonly LogResult[];
}

const RETRY_MS = 50;
/** A request is followed by others: for this long the broker stays with its event loop, where ports are heard. */
const BUSY_MS = 20;

/**
 * Reads leaders' logs for the partitions that cannot go on from the ring, until the ring is reached again; and
 * serves such reads to followers. One request to a leader is under way at a time, each bounded in bytes.
 */
export class CatchUp {
  readonly #broker: BrokerHost;
  readonly #ports: ReadonlyMap<number, MessagePort>;
  /** By leader: the partitions that need its log. */
  readonly #wanted = new Map<number, Set<Replica>>();
  readonly #asked = new Set<number>();
  #busyUntilMs = 0;

  constructor(broker: BrokerHost, ports: ReadonlyMap<number, MessagePort>) {
    this.#broker = broker;
    this.#ports = ports;
    for (const [peer, port] of ports) {
      this.#wanted.set(peer, new Set());
      port.on('message', (message: LogRequest | LogAnswer) => {
        this.#busyUntilMs = nowMs() + BUSY_MS;
        if (message.type === 'request') this.#serve(port, message);
        else this.#take(peer, message);
      });
    }
  }

  /** Whether messages of other brokers are to be expected. */
  get isBusy(): boolean {
    return this.#asked.size > 0 || nowMs() < this.#busyUntilMs;
  }

  want(replica: Replica): void {
    const { leader } = replica.info;
    (this.#wanted.get(leader) as Set<Replica>).add(replica);
    this.#ask(leader);
  }

  close(): void {
    for (const port of this.#ports.values()) port.close();
  }

  #ask(leader: number): void {
    const wanted = this.#wanted.get(leader) as Set<Replica>;
    if (wanted.size === 0 || this.#asked.has(leader)) return;
    this.#asked.add(leader);
    this.#broker.metrics.count('catchUps');
    const partitions = [...wanted].map(({ id, info, log }) => ({ id, epoch: info.epoch, leo: log.leo }));
    this.#ports.get(leader)?.postMessage({ type: 'request', partitions } satisfies LogRequest);
  }

  #serve(port: MessagePort, request: LogRequest): void {
    let room = CATCH_UP_BYTES;
    const results: LogResult[] = [];
    const transfer: ArrayBuffer[] = [];
    for (const { id, epoch, leo } of request.partitions) {
      const replica = this.#broker.replicas[id];
      if (replica === undefined || !replica.isLeader || replica.info.epoch !== epoch) {
        results.push(failed(id, 'NOT_LEADER_OR_FOLLOWER', 0));
        continue;
      }
      const { log } = replica;
      if (leo < log.logStart || leo > log.leo) {
        results.push(failed(id, 'OFFSET_OUT_OF_RANGE', log.logStart));
        continue;
      }
      const { bytes, end } = copyFrom(log, leo, room);
      if (bytes !== undefined) {
        room -= bytes.length;
        transfer.push(bytes.buffer);
      }
      // Where the answer reaches the leader's end, everything later lies in the ring from here on.
      const ringPosition = end === log.leo ? this.#broker.ringPosition : undefined;
      results.push({ id, error: 'NONE', logStart: log.logStart, bytes, end, ringPosition });
    }
    port.postMessage({ type: 'answer', results } satisfies LogAnswer, transfer);
  }

  #take(leader: number, answer: LogAnswer): void {
    this.#asked.delete(leader);
    let progressed = false;
    let again = true;
    for (const result of answer.results) {
      const replica = this.#broker.replicas[result.id];
      if (replica === undefined || replica.info.leader !== leader || replica.source !== 'log') continue;
      if (result.error === 'OFFSET_OUT_OF_RANGE') this.#restart(replica, result.logStart);
      else if (result.error !== 'NONE') again = false;
      else if (result.bytes !== undefined) progressed = this.#append(replica, result.bytes) || progressed;
      if (result.ringPosition !== undefined && replica.log.leo === result.end) {
        this.#rejoin(replica, result.ringPosition);
      }
    }
    if (progressed) this.#broker.progressed(leader);
    if (again) this.#ask(leader);
    else setTimeout(() => this.#ask(leader), RETRY_MS);
  }

  #append(replica: Replica, bytes: Uint8Array): boolean {
    const { log } = replica;
    const before = log.leo;
    log.committed = this.#broker.tableOf(replica.info.leader).loadHwm(replica.id);
    for (let at = 0; at < bytes.length; ) {
      const sound = checkBatch(bytes, at, bytes.length - at, bytes.length) === 0;
      const length = sound ? batchBytes(bytes, at) : 0;
      if (!sound || crc32c(bytes.subarray(at + CRC_FROM, at + length)) !== readCrc(bytes, at)) {
        this.#broker.metrics.count('corruptFrames');
        break;
      }
      // A batch that reaches below the LEO was asked for in its middle: the replica has all of it.
      if (readBaseOffset(bytes, at) === log.leo) log.append(bytes, at, length);
      at += length;
    }
    this.#broker.table.storeLeo(replica.id, log.leo);
    return log.leo > before;
  }

  /** The leader has dropped what this replica would need next: it begins again where the leader begins. */
  #restart(replica: Replica, logStart: number): void {
    replica.log.restartAt(logStart);
    replica.hwm = Math.min(replica.hwm, logStart);
    this.#broker.table.storeLogStart(replica.id, logStart);
    this.#broker.table.storeLeo(replica.id, logStart);
  }

  #rejoin(replica: Replica, ringPosition: number): void {
    (this.#wanted.get(replica.info.leader) as Set<Replica>).delete(replica);
    replica.source = 'ring';
    this.#broker.rejoinRing(replica.info.leader, ringPosition);
  }
}

/** Whole batches from `offset` on, up to `room` bytes, out of as many segments as that takes. */
function copyFrom(
  log: PartitionLog,
  offset: number,
  room: number,
): { bytes: Uint8Array<ArrayBuffer> | undefined; end: number } {
  const extents: Extent[] = [];
  let left = room;
  let next = offset;
  while (left > 0 && next < log.leo) {
    const extent = log.read(next, left, log.leo);
    if (extent === undefined) break;
    extents.push(extent);
    left -= extent.to - extent.from;
    next = endOf(extent);
  }
  return { bytes: extents.length === 0 ? undefined : copyOf(extents), end: next };
}

/** The offset after an extent's last batch. */
function endOf({ bytes, from, to }: Extent): number {
  let next = 0;
  for (let at = from; at < to; at += batchBytes(bytes, at)) next = nextOffset(bytes, at);
  return next;
}

function failed(id: number, error: LogError, logStart: number): LogResult {
  return { id, error, logStart, bytes: undefined, end: -1, ringPosition: undefined };
}
