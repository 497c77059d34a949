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
  /** Memory of an earlier answer, for this one: new memory costs more than what is copied to it. */
  readonly memory?: ArrayBuffer | undefined;
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

/** The follower has gone back in the ring for so many results: from here on its cursor says what it needs. */
interface Joined {
  readonly type: 'joined';
  readonly count: number;
}

type Message = LogRequest | LogAnswer | Joined;

/** A replica that may fetch so many bytes a second asks for what it may in this time. */
const THROTTLED_MS = 100;
/** A request is followed by others: for this long the broker stays with its event loop, where ports are heard. */
const BUSY_MS = 20;

/** An answer holds what a few of the partitions lack, and nobody has to tell of all of them each time. */
const WISHES_MAX = 64;

/**
 * A leader that has producers, and work that waits, rests so long between two answers to a follower that is in no ISR. Longer
 * ones left hardly more to producers on two cores, since the follower was back later, and 11 ms were too long for it to come
 * nearer at all.
 */
const REST_MS = 1;

/** How a follower was served last. */
interface Served {
  /** Where the own ring ended. */
  readonly position: number;
  /** Until then it is not served again, if nobody waits for it. */
  readonly untilMs: number;
}

/** What is to be done about a result. */
type Judged = 'useless' | 'done' | { readonly replica: Replica; readonly result: LogResult };

/** For the next request: where a replica will be by then; undefined where it has to wait. */
type Plan = ReadonlyMap<Replica, number | undefined>;

/**
 * Reads leaders' logs for the partitions that cannot go on from the ring, until the ring is reached again; and
 * serves such reads to followers. One request to a leader is under way at a time, each bounded in bytes: the next one is
 * sent before the answer is appended, so that both sides have something to do.
 */
export class CatchUp {
  readonly #broker: BrokerHost;
  readonly #ports = new Map<number, Port>();
  /** By leader: the partitions that need its log. */
  readonly #wanted = new Map<number, Set<Replica>>();
  readonly #asked = new Set<number>();
  /** By leader: answers in a row that were of no use. */
  readonly #failures = new Map<number, number>();
  #busyUntilMs = 0;
  /** Until then this broker fetches nothing for replicas that are being added and have a throttle: one for all. */
  #throttledUntilMs = 0;
  /** Leaders that are asked again then. */
  readonly #heldBack = new Set<number>();
  /** Answers in a row whose batches were not what they should be. */
  readonly #unsound = new WeakMap<Replica, number>();
  /** By leader: memory that goes back with the next request. */
  readonly #memory = new Map<number, ArrayBuffer>();
  /** By follower. */
  readonly #served = new Map<number, Served>();
  /** For a follower that has brought none. */
  #spare: ArrayBuffer | undefined;

  constructor(broker: BrokerHost, ports: ReadonlyMap<number, Port>) {
    this.#broker = broker;
    for (const [peer, port] of ports) this.connect(peer, port);
  }

  /** A broker has come, or come back, and may be gone again: what its last life was asked for it does not know. */
  connect(peer: number, port: Port | undefined): void {
    this.#ports.get(peer)?.close();
    this.#ports.delete(peer);
    if (!this.#wanted.has(peer)) this.#wanted.set(peer, new Set());
    this.#asked.delete(peer);
    if (port === undefined) return;
    this.#ports.set(peer, port);
    port.on('message', (received) => {
      // Of one that is out of reach nothing arrives. Both ask again when they see each other.
      if (this.#ports.get(peer) !== port || !this.#broker.isLinked(peer)) return;
      const message = received as Message;
      this.#busyUntilMs = this.#broker.clock.nowMs() + BUSY_MS;
      if (message.type === 'request') this.#serveInTurn(peer, port, message);
      else if (message.type === 'answer') this.#take(peer, message);
      else this.#broker.hasJoined(peer, message.count);
    });
    this.#ask(peer);
  }

  disconnect(peer: number): void {
    this.#ports.get(peer)?.close();
    this.#ports.delete(peer);
    this.#wanted.delete(peer);
    this.#asked.delete(peer);
    this.#served.delete(peer);
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
    this.leave(replica);
    this.want(replica);
  }

  /** This replica is out of the ISR: that it has all its leader has is asked for, and said, once more. */
  report(replica: Replica): void {
    if (replica.source === 'ring' && replica.state === 'online') this.#broker.readLog(replica);
    // It may have been held back, and not any more.
    else this.#ask(replica.info.leader);
  }

  /** The partition goes on without this replica, which takes nothing more, from the ring or from a log. */
  leave(replica: Replica): void {
    this.forget(replica);
    replica.source = 'unproven';
  }

  /** This replica is a follower no more, or has made room for another one of the same partition. */
  forget(replica: Replica): void {
    this.#unsound.delete(replica);
    for (const wanted of this.#wanted.values()) wanted.delete(replica);
  }

  close(): void {
    for (const port of this.#ports.values()) port.close();
  }

  #ask(leader: number, plan?: Plan): void {
    const wanted = this.#wanted.get(leader);
    if (wanted === undefined) return;
    for (const replica of wanted) if (replica.state !== 'online') wanted.delete(replica);
    if (wanted.size === 0 || this.#asked.has(leader) || !this.#broker.isLinked(leader)) return;
    const waitMs = this.#throttledUntilMs - this.#broker.clock.nowMs();
    const partitions: LogWish[] = [];
    for (const replica of wanted) {
      const rate = this.#throttleOf(replica);
      const leo = plan?.has(replica) === true ? plan.get(replica) : replica.log.leo;
      if (leo === undefined || (rate !== undefined && waitMs > 0)) continue;
      const maxBytes = rate === undefined ? undefined : Math.ceil((rate * THROTTLED_MS) / 1_000);
      const isDoubtful = this.#unsound.has(replica);
      partitions.push({ ...wishOf(replica), leo, maxBytes, isDoubtful });
      if (partitions.length === WISHES_MAX) break;
    }
    if (partitions.length === 0) {
      if (plan === undefined) this.#askLater(leader, waitMs);
      return;
    }
    this.#asked.add(leader);
    this.#broker.metrics.count('catchUps');
    const memory = this.#memory.get(leader);
    this.#memory.delete(leader);
    const request: LogRequest = { type: 'request', partitions, memory };
    this.#ports.get(leader)?.postMessage(request, memory === undefined ? [] : [memory]);
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

  /** Whoever is in no ISR yet can wait a little where producers want something, too. */
  #serveInTurn(peer: number, port: Port, request: LogRequest): void {
    const { clock } = this.#broker;
    const startedMs = clock.nowMs();
    const isUrgent = request.partitions.some(({ id }) => this.#broker.replicas[id]?.isAwaited(peer) === true);
    const restMs = (this.#served.get(peer)?.untilMs ?? 0) - startedMs;
    if (!isUrgent && restMs > 0 && this.#broker.hasWork()) {
      clock.schedule(restMs, () => {
        if (this.#ports.get(peer) === port) this.#serveInTurn(peer, port, request);
      });
      return;
    }
    const position = this.#broker.ringPosition;
    const last = this.#served.get(peer);
    const isLoaded = last !== undefined && position !== last.position;
    this.#serve(peer, port, request);
    this.#served.set(peer, { position, untilMs: isLoaded ? clock.nowMs() + REST_MS : 0 });
  }

  #serve(peer: number, port: Port, request: LogRequest): void {
    const memory = request.memory ?? this.#spare ?? new ArrayBuffer(CATCH_UP_BYTES);
    if (memory === this.#spare) this.#spare = undefined;
    const room = new Uint8Array(memory);
    const results: LogResult[] = [];
    let used = 0;
    for (const wish of request.partitions) {
      const result = this.#grant(wish, room.subarray(used));
      if (result.ringPosition !== undefined) this.#broker.joins(peer, result.ringPosition);
      results.push(result);
      this.#countRefused(result.error);
      used += result.bytes?.length ?? 0;
    }
    if (used === 0) this.#spare = memory;
    port.postMessage({ type: 'answer', results } satisfies LogAnswer, used === 0 ? [] : [memory]);
  }

  #grant(wish: LogWish, room: Uint8Array<ArrayBuffer>): LogResult {
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
      copy = copyFrom(log, leo, room, maxBytes);
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
    const plan = new Map<Replica, number | undefined>();
    const found = answer.results.map((result) => this.#judge(leader, result, plan));
    // While this is appended the leader looks for what comes after it.
    if ([...plan.values()].some((leo) => leo !== undefined)) this.#ask(leader, plan);
    const unsound = new Set<Replica>();
    for (const one of found) {
      if (typeof one === 'string') continue;
      try {
        if (this.#append(one.replica, one.result)) this.#unsound.delete(one.replica);
        else unsound.add(one.replica);
      } catch (error) {
        this.#broker.readFailed(one.replica, error);
      }
    }
    this.#broker.flush();
    for (const one of found) {
      if (typeof one === 'string') continue;
      this.#learn(one.replica);
      this.#rejoin(one.replica, one.result);
    }
    this.#broker.progressed(leader);
    const granted = answer.results.filter(({ ringPosition }) => ringPosition !== undefined).length;
    if (granted > 0)
      this.#ports.get(leader)?.postMessage({ type: 'joined', count: granted } satisfies Joined);
    const memory = answer.results.find(({ bytes }) => bytes !== undefined)?.bytes?.buffer;
    if (memory?.byteLength === CATCH_UP_BYTES) this.#memory.set(leader, memory);
    for (const replica of unsound) this.#rest(leader, replica);
    const isOfUse = found.length === 0 || found.some((one) => one !== 'useless');
    const failures = isOfUse ? 0 : (this.#failures.get(leader) ?? 0) + 1;
    this.#failures.set(leader, failures);
    if (isOfUse) this.#ask(leader);
    else this.#broker.clock.schedule(retryAfterMs(failures), () => this.#ask(leader));
  }

  /**
   * What a result means: 'useless' where asking again at once would give the same, 'done' where nothing is left to do, or
   * whose log it goes to. The plan gets where that one will be.
   */
  #judge(leader: number, result: LogResult, plan: Map<Replica, number | undefined>): Judged {
    const replica = this.#broker.replicas[result.id];
    // One that has left since it asked takes nothing more.
    if (replica?.info.replicas.includes(replica.brokerId) !== true) return 'done';
    try {
      const wasUnproven = replica.source === 'unproven';
      const step = takeAnswer(replica, leader, result);
      if (step === 'ignore') return 'done';
      // What counted before does so no more: it is told before the log goes back.
      if (!wasUnproven && replica.source === 'unproven') this.#broker.table.storeReign(replica.id, -1);
      if (step === 'restarted' || (wasUnproven && replica.source !== 'unproven')) this.#prove(replica);
      // It may have been cut: who counts it out in an election has to know.
      if (step === 'ask') {
        this.#broker.restarted(replica);
        return 'done';
      }
      // Behind all others: no request names more than some, and those that wait must not be all of them.
      const wanted = this.#wanted.get(leader);
      if (step === 'wait' && wanted?.delete(replica) === true) wanted.add(replica);
      const isSteady = result.ringPosition === undefined && this.#throttleOf(replica) === undefined;
      plan.set(replica, step === 'append' && isSteady && result.bytes !== undefined ? result.end : undefined);
      return step === 'wait' ? 'useless' : { replica, result };
    } catch (error) {
      this.#broker.readFailed(replica, error);
      return 'useless';
    }
  }

  /** What its leader has is damaged: others go on meanwhile. */
  #rest(leader: number, replica: Replica): void {
    const wanted = this.#wanted.get(leader);
    if (wanted?.delete(replica) !== true) return;
    const times = (this.#unsound.get(replica) ?? 0) + 1;
    this.#unsound.set(replica, times);
    this.#broker.clock.schedule(retryAfterMs(times), () => {
      // It still rests: whatever else becomes of a replica is the end of that.
      if (this.#unsound.get(replica) === times) this.want(replica);
    });
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

  /** What the leader has committed, as far as it is written here. */
  #learn(replica: Replica): void {
    const { leader, epoch } = replica.info;
    replica.learn(this.#broker.tableOf(leader).loadHwmIn(epoch, replica.id));
  }

  /** False where the bytes are not what they should be: up to there they are staged. */
  #append(replica: Replica, { bytes }: LogResult): boolean {
    this.#learn(replica);
    if (bytes === undefined) return true;
    this.#charge(replica, bytes.length);
    const { log } = replica;
    let isSound = true;
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
    return isSound;
  }

  /** Where the leader had no more, the ring has what comes next. Others get their turn before one that has to go on. */
  #rejoin(replica: Replica, { ringPosition, end }: LogResult): void {
    const { leader } = replica.info;
    const wanted = this.#wanted.get(leader);
    if (wanted?.delete(replica) !== true) return;
    if (ringPosition === undefined || replica.log.leo !== end) {
      wanted.add(replica);
      return;
    }
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

/** Whole batches from `offset` on, about `maxBytes` of them as far as there is room, out of as many segments as that takes. */
function copyFrom(
  log: PartitionLog,
  offset: number,
  room: Uint8Array<ArrayBuffer>,
  maxBytes: number,
): LogCopy {
  const least = Math.min(room.length, maxBytes);
  let length = 0;
  let next = offset;
  while (length < least && next < log.written) {
    const extent = log.read(next, least - length, log.written);
    // One batch comes in any case; it may be more than there is room for.
    if (extent === undefined || extent.to - extent.from > room.length - length) break;
    room.set(extent.bytes.subarray(extent.from, extent.to), length);
    length += extent.to - extent.from;
    next = endOf(extent);
  }
  return { bytes: length === 0 ? undefined : room.subarray(0, length), end: next };
}

/** The offset after an extent's last batch. */
function endOf({ bytes, from, to }: Extent): number {
  let next = 0;
  for (let at = from; at < to; at += batchBytes(bytes, at)) next = nextOffset(bytes, at);
  return next;
}
