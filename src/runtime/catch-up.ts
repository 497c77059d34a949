import { crc32c } from '../../native-free/crc32c/index.ts';
import { isCompacted } from '../config.ts';
import {
  type LogAnswer as LeaderAnswer,
  retryAfterMs,
  takeAnswer,
  wishOf,
} from '../core/partition-follower.ts';
import { answerWish, isOfAnotherReign, type LogWish } from '../core/partition-leader.ts';
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
import type { Port } from './surroundings.ts';

/** A follower asks a leader, over a port. */
interface LogRequest {
  readonly type: 'request';
  readonly partitions: readonly LogWish[];
}

interface LogResult extends LeaderAnswer {
  readonly id: number;
  /** Whole batches from the follower's LEO; empty where it has everything, or where the answer was full. */
  readonly bytes?: Uint8Array<ArrayBuffer> | undefined;
  /** The offset after them. */
  readonly end?: number;
  /** Set where the follower then has all that the leader has: later batches lie in the ring from here on. */
  readonly ringPosition?: number | undefined;
}

interface LogAnswer {
  readonly type: 'answer';
  readonly results: readonly LogResult[];
}

/** A replica that may fetch so many bytes a second asks for what it may in this time. */
const THROTTLED_MS = 100;
/** A request is followed by others: for this long the broker stays with its event loop, where ports are heard. */
const BUSY_MS = 20;

/**
 * Reads leaders' logs for the partitions that cannot go on from the ring, until the ring is reached again; and
 * serves such reads to followers. One request to a leader is under way at a time, each bounded in bytes.
 */
export class CatchUp {
  readonly #broker: BrokerHost;
  readonly #ports = new Map<number, Port>();
  /** By leader: the partitions that need its log. */
  readonly #wanted = new Map<number, Set<Replica>>();
  readonly #asked = new Set<number>();
  /** What came for them last did not match its checksum: their leaders are to look whether they have it so. */
  readonly #doubtful = new Set<Replica>();
  /** By leader: answers in a row that were of no use. */
  readonly #failures = new Map<number, number>();
  #busyUntilMs = 0;
  /** Until then this broker fetches nothing for replicas that are being added and have a throttle: one for all. */
  #throttledUntilMs = 0;
  /** Leaders that are asked again then. */
  readonly #heldBack = new Set<number>();

  constructor(broker: BrokerHost, ports: ReadonlyMap<number, Port>) {
    this.#broker = broker;
    for (const [peer, port] of ports) this.connect(peer, port);
  }

  /** A broker has come, or come back: what its last life was asked for it does not know. */
  connect(peer: number, port: Port): void {
    this.#ports.get(peer)?.close();
    this.#ports.set(peer, port);
    if (!this.#wanted.has(peer)) this.#wanted.set(peer, new Set());
    this.#asked.delete(peer);
    port.on('message', (received) => {
      // Of one that is out of reach nothing arrives. Both ask again when they see each other.
      if (this.#ports.get(peer) !== port || !this.#broker.isLinked(peer)) return;
      const message = received as LogRequest | LogAnswer;
      this.#busyUntilMs = this.#broker.clock.nowMs() + BUSY_MS;
      if (message.type === 'request') this.#serve(port, message);
      else this.#take(peer, message);
    });
    this.#ask(peer);
  }

  disconnect(peer: number): void {
    this.#ports.get(peer)?.close();
    this.#ports.delete(peer);
    this.#wanted.delete(peer);
    this.#asked.delete(peer);
  }

  /** Seen again, after what was said in between was lost, either way. */
  reconnected(peer: number): void {
    this.#asked.delete(peer);
    this.#ask(peer);
  }

  /** Whether messages of other brokers are to be expected. */
  get isBusy(): boolean {
    return this.#asked.size > 0 || this.#broker.clock.nowMs() < this.#busyUntilMs;
  }

  want(replica: Replica): void {
    const wanted = this.#wanted.get(replica.info.leader);
    if (wanted === undefined) return;
    wanted.add(replica);
    this.#ask(replica.info.leader);
  }

  /**
   * A new leader reigns: what this replica has and the leader has not goes, by epoch (KIP-101, KIP-279). The replica's
   * LEO is published when that is done, and not before.
   */
  follow(replica: Replica): void {
    this.forget(replica);
    replica.source = 'unproven';
    this.want(replica);
  }

  /** This replica is out of the ISR: that it has all its leader has is asked for, and said, once more. */
  report(replica: Replica): void {
    if (replica.source === 'ring' && replica.state === 'online') this.#broker.readLog(replica);
    // It may have been held back, and not any more.
    else this.#ask(replica.info.leader);
  }

  /** This replica is a follower no more, or has made room for another one of the same partition. */
  forget(replica: Replica): void {
    this.#doubtful.delete(replica);
    for (const wanted of this.#wanted.values()) wanted.delete(replica);
  }

  close(): void {
    for (const port of this.#ports.values()) port.close();
  }

  #ask(leader: number): void {
    const wanted = this.#wanted.get(leader);
    if (wanted === undefined) return;
    for (const replica of wanted) if (replica.state !== 'online') wanted.delete(replica);
    if (wanted.size === 0 || this.#asked.has(leader) || !this.#broker.isLinked(leader)) return;
    const waitMs = this.#throttledUntilMs - this.#broker.clock.nowMs();
    const partitions: LogWish[] = [];
    for (const replica of wanted) {
      const rate = this.#throttleOf(replica);
      if (rate !== undefined && waitMs > 0) continue;
      const wish = this.#doubtful.has(replica) ? { ...wishOf(replica), isDoubtful: true } : wishOf(replica);
      partitions.push(
        rate === undefined ? wish : { ...wish, maxBytes: Math.ceil((rate * THROTTLED_MS) / 1_000) },
      );
    }
    if (partitions.length === 0) {
      this.#askLater(leader, waitMs);
      return;
    }
    this.#asked.add(leader);
    this.#broker.metrics.count('catchUps');
    this.#ports.get(leader)?.postMessage({ type: 'request', partitions } satisfies LogRequest);
  }

  #askLater(leader: number, waitMs: number): void {
    if (this.#heldBack.has(leader)) return;
    this.#heldBack.add(leader);
    this.#broker.clock.schedule(waitMs, () => {
      this.#heldBack.delete(leader);
      this.#ask(leader);
    });
  }

  /** Only who comes is held back: for who is in sync, others wait. */
  #throttleOf({ info, brokerId }: Replica): number | undefined {
    return info.adding?.includes(brokerId) === true ? (info.throttle ?? undefined) : undefined;
  }

  #serve(port: Port, request: LogRequest): void {
    let room = CATCH_UP_BYTES;
    const results: LogResult[] = [];
    const transfer: ArrayBuffer[] = [];
    for (const wish of request.partitions) {
      const result = this.#grant(wish, room);
      results.push(result);
      this.#countRefused(result.error);
      if (result.bytes === undefined) continue;
      room -= result.bytes.length;
      transfer.push(result.bytes.buffer);
    }
    port.postMessage({ type: 'answer', results } satisfies LogAnswer, transfer);
  }

  #grant(wish: LogWish, room: number): LogResult {
    const { id, epoch, leo, maxBytes = CATCH_UP_BYTES } = wish;
    const replica = this.#broker.replicas[id];
    const answer = { id, epoch, leo, ...answerWish(replica, wish) };
    const isToBegin =
      answer.error === 'OFFSET_OUT_OF_RANGE' && (leo < answer.logStart || wish.lastEpoch === -1);
    if (replica === undefined || (answer.error !== 'NONE' && !isToBegin)) return answer;
    const { log } = replica;
    let copy: LogCopy;
    try {
      if (isToBegin) return { ...answer, producers: log.producers.at(answer.logStart) };
      // It would only come as it came before.
      if (wish.isDoubtful && this.#broker.isDamaged(replica, leo))
        return { ...answer, error: 'NOT_READABLE' };
      copy = copyFrom(log, leo, Math.min(room, maxBytes));
    } catch (error) {
      this.#broker.readFailed(replica, error);
      return { ...answer, error: 'NOT_READABLE' };
    }
    const { bytes, end } = copy;
    // Where the answer reaches the leader's end, everything later lies in the ring from here on.
    const ringPosition = end === log.leo ? this.#broker.ringPosition : undefined;
    return { ...answer, bytes, end, ringPosition };
  }

  #countRefused(error: LogResult['error']): void {
    // Logs that part are what followers ask for.
    if (error === 'NONE' || error === 'DIVERGED') return;
    const { metrics } = this.#broker;
    metrics.count('wishesRefused');
    if (isOfAnotherReign(error)) metrics.count('wishesFenced');
  }

  #take(leader: number, answer: LogAnswer): void {
    this.#asked.delete(leader);
    let isOfUse = answer.results.length === 0;
    for (const result of answer.results) {
      const replica = this.#broker.replicas[result.id];
      if (replica === undefined) {
        isOfUse = true;
        continue;
      }
      try {
        if (this.#takeOne(replica, leader, result)) isOfUse = true;
      } catch (error) {
        this.#broker.readFailed(replica, error);
      }
    }
    const failures = isOfUse ? 0 : (this.#failures.get(leader) ?? 0) + 1;
    this.#failures.set(leader, failures);
    if (isOfUse) this.#ask(leader);
    else this.#broker.clock.schedule(retryAfterMs(failures), () => this.#ask(leader));
  }

  /** False where asking again at once would give the same answer. */
  #takeOne(replica: Replica, leader: number, result: LogResult): boolean {
    const wasUnproven = replica.source === 'unproven';
    const step = takeAnswer(replica, leader, result);
    if (step === 'ignore') return true;
    // What counted before does so no more: it is told before the log goes back.
    if (!wasUnproven && replica.source === 'unproven') this.#broker.table.storeReign(replica.id, -1);
    if (step === 'restarted' || (wasUnproven && replica.source !== 'unproven')) this.#prove(replica);
    if (step === 'wait') return false;
    if (step === 'ask') {
      // It may have been cut: who counts it out in an election has to know.
      this.#broker.restarted(replica);
      return true;
    }
    this.#charge(replica, result.bytes?.length ?? 0);
    const isSound = result.bytes === undefined || this.#append(replica, result.bytes);
    this.#broker.progressed(leader);
    if (result.ringPosition !== undefined && replica.log.leo === result.end)
      this.#rejoin(replica, result.ringPosition);
    return isSound;
  }

  #charge(replica: Replica, bytes: number): void {
    const rate = this.#throttleOf(replica);
    if (rate === undefined) return;
    const fromMs = Math.max(this.#throttledUntilMs, this.#broker.clock.nowMs());
    this.#throttledUntilMs = fromMs + (bytes / rate) * 1_000;
  }

  /** All that this replica has, its leader has too: now it may count. */
  #prove(replica: Replica): void {
    this.#broker.restarted(replica);
    this.#broker.table.storeReign(replica.id, replica.info.epoch);
  }

  /** False where the bytes are not what they should be: up to there they were taken. */
  #append(replica: Replica, bytes: Uint8Array): boolean {
    const { log, info } = replica;
    let isSound = true;
    const hwm = this.#broker.tableOf(info.leader).loadHwmIn(info.epoch, replica.id);
    replica.learn(hwm);
    for (let at = 0; at < bytes.length && isSound; ) {
      const sound = checkBatch(bytes, at, bytes.length - at, bytes.length) === 0;
      const length = sound ? batchBytes(bytes, at) : 0;
      const isAhead = sound && readBaseOffset(bytes, at) > log.leo && !isCompacted(replica.config);
      if (!sound || isAhead || crc32c(bytes.subarray(at + CRC_FROM, at + length)) !== readCrc(bytes, at)) {
        this.#broker.metrics.count('corruptFrames');
        isSound = false;
        continue;
      }
      // A batch that reaches below the LEO was asked for in its middle: the replica has all of it.
      if (readBaseOffset(bytes, at) >= log.leo) {
        this.#broker.staged(replica);
        log.append(bytes, at, length);
      }
      at += length;
    }
    this.#broker.flush();
    replica.learn(hwm);
    if (isSound) this.#doubtful.delete(replica);
    else this.#doubtful.add(replica);
    return isSound;
  }

  #rejoin(replica: Replica, ringPosition: number): void {
    this.#wanted.get(replica.info.leader)?.delete(replica);
    replica.source = 'ring';
    this.#broker.rejoinRing(replica.info.leader, ringPosition);
    this.#broker.caughtUp(replica);
  }
}

interface LogCopy {
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  /** The offset after them. */
  readonly end: number;
}

/** Whole batches from `offset` on, up to `room` bytes, out of as many segments as that takes. */
function copyFrom(log: PartitionLog, offset: number, room: number): LogCopy {
  const pieces: Extent[] = [];
  let left = room;
  let next = offset;
  while (left > 0 && next < log.written) {
    const extent = log.read(next, left, log.written);
    if (extent === undefined) break;
    next = endOf(extent);
    // Copied before the next read, which a disk may put into the same memory.
    const bytes = copyOf([extent]);
    pieces.push({ bytes, from: 0, to: bytes.length });
    left -= bytes.length;
  }
  if (pieces.length === 0) return { bytes: undefined, end: next };
  const bytes = pieces.length === 1 ? (pieces[0].bytes as Uint8Array<ArrayBuffer>) : copyOf(pieces);
  return { bytes, end: next };
}

/** The offset after an extent's last batch. */
function endOf({ bytes, from, to }: Extent): number {
  let next = 0;
  for (let at = from; at < to; at += batchBytes(bytes, at)) next = nextOffset(bytes, at);
  return next;
}
