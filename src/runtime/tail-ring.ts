import type { Kernels } from '../../native-free/kernels/index.ts';
import {
  CorruptFrameError,
  RingReader,
  RingWriter,
  ringBytes,
} from '../../native-free/sharedarraybuffer-utils/index.ts';
import { judgeFrame } from '../core/partition-follower.ts';
import type { Replica } from '../core/replica.ts';
import { PASS_BATCH_BYTES, PASS_BYTES } from '../limits.ts';
import {
  batchBytes,
  CRC_FROM,
  checkBatch,
  readBaseOffset,
  readCrc,
  readLeaderEpoch,
  writeAppendTime,
  writeBaseOffset,
  writeCrc,
  writeLeaderEpoch,
} from '../log/record-batch.ts';
import type { ArenaView } from './arena.ts';
import type { BrokerHost } from './broker-host.ts';
import type { BrokerAddresses } from './directory.ts';
import type { Clock } from './surroundings.ts';

// A tail ring from both its ends: what a leader publishes, and how its followers take it.

/**
 * A frame of a tail ring: one batch as the leader has stamped it, behind a header of 16 bytes.
 *
 *   | appended at, ms (float64) | partition id (int32) | check (int32) | the batch ...
 *
 * The check is over what the batch's CRC leaves out, and a follower goes by: see checkOfFrame.
 */
export const RING_HEADER_BYTES = 16;

/** Words of the header, counted in int32. */
export const RING_PARTITION_WORD = 2;
export const RING_CHECK_WORD = 3;

/** Word of the header, counted in float64. */
const RING_TIME_WORD = 0;

/** Words of the batch that its CRC does not cover: base offset (2), length, leader epoch. */
const BATCH_WORD = RING_HEADER_BYTES / 4;

/** What the check begins with, so that a frame of zeros has another one. */
const CHECK_SEED = 0x7469_6465;

/**
 * A mix of a frame's header, of the words of its batch that the CRC does not cover, and of its length. Damage to one word
 * always shows: each step keeps what differs apart.
 */
export function checkOfFrame(int32: Int32Array, frame: number, length: number): number {
  const at = frame / 4;
  let check = mixed(CHECK_SEED, length);
  check = mixed(check, int32[at]);
  check = mixed(check, int32[at + 1]);
  check = mixed(check, int32[at + RING_PARTITION_WORD]);
  check = mixed(check, int32[at + BATCH_WORD]);
  check = mixed(check, int32[at + BATCH_WORD + 1]);
  check = mixed(check, int32[at + BATCH_WORD + 2]);
  return mixed(check, int32[at + BATCH_WORD + 3]);
}

/** An odd factor and a shifted xor lose nothing, so that no two checks become the same by the same word. */
function mixed(check: number, word: number): number {
  const product = Math.imul(check ^ word, 0x9e37_79b1);
  return product ^ (product >>> 15);
}

/** Everything that a broker appends as a leader, in order, for those who follow it. */
export class TailRing {
  /** Published since the followers' bells were rung. */
  unrungBytes = 0;
  readonly #arena: ArenaView;
  readonly #kernels: Kernels;
  readonly #clock: Clock;
  readonly #writer: RingWriter;
  /** What may be overwritten before the own logs have written it. */
  readonly #stagedMaxBytes: number;
  /** The frame that holds the staged batch. */
  #staged = 0;
  /** Where the first frame lies that an own log may have staged and not written; -1: there is none. */
  #unwrittenFrom = -1;

  constructor(arena: ArenaView, kernels: Kernels, clock: Clock, { ring, ringCapacity }: BrokerAddresses) {
    this.#arena = arena;
    this.#kernels = kernels;
    this.#clock = clock;
    arena.reach(ring + ringBytes(ringCapacity));
    this.#writer = new RingWriter(arena.buffer, ring, ringCapacity);
    this.#stagedMaxBytes = ringCapacity / 4;
  }

  /** End of what was published. */
  get position(): number {
    return this.#writer.position;
  }

  /**
   * Whether the own logs have to write before more is staged. They write straight from the ring, so it must not come
   * round to what they have not written yet. The rest of the ring is room for a frame and for the padding before it, a
   * quarter each at most.
   */
  get isFull(): boolean {
    return this.#unwrittenFrom !== -1 && this.#writer.position - this.#unwrittenFrom >= this.#stagedMaxBytes;
  }

  /** The own logs have written all that they had staged. */
  written(): void {
    this.#unwrittenFrom = -1;
  }

  /** Copies a batch into the next frame: `from` and `length` are of the bytes that its CRC covers, which is the answer. */
  stage(from: number, length: number): number {
    this.#staged = this.#writer.reserve(RING_HEADER_BYTES + CRC_FROM + length);
    const batch = this.#staged + RING_HEADER_BYTES;
    this.#arena.bytes.copyWithin(batch, from - CRC_FROM, from);
    return this.#kernels.crc32cCopy(from, length, batch + CRC_FROM);
  }

  /** Stamps the staged batch of so many bytes, which is the next of that partition, and publishes it: where it lies. */
  publish(replica: Replica, length: number, appendedAtMs: number): number {
    const { bytes, int32, float64 } = this.#arena;
    const frame = this.#staged;
    const batch = frame + RING_HEADER_BYTES;
    writeBaseOffset(bytes, batch, replica.log.leo);
    writeLeaderEpoch(bytes, batch, replica.info.epoch);
    if (replica.config['message.timestamp.type'] === 'LogAppendTime') this.#stampTime(batch, length);
    float64[frame / 8 + RING_TIME_WORD] = appendedAtMs;
    int32[frame / 4 + RING_PARTITION_WORD] = replica.id;
    int32[frame / 4 + RING_CHECK_WORD] = checkOfFrame(int32, frame, RING_HEADER_BYTES + length);
    if (this.#unwrittenFrom === -1) this.#unwrittenFrom = this.#writer.position;
    this.#writer.commit();
    this.#writer.publish();
    this.unrungBytes += length;
    return batch;
  }

  /** What batches are to carry whose topic has LogAppendTime. */
  #stampTime(batch: number, length: number): void {
    const { bytes } = this.#arena;
    writeAppendTime(bytes, batch, this.#clock.wallClockMs());
    writeCrc(bytes, batch, this.#kernels.crc32c(batch + CRC_FROM, length - CRC_FROM));
  }
}

/**
 * Follows one leader broker: one cursor in its tail ring for all the partitions that this broker follows there.
 * Batches go straight from the leader's ring to this broker's log.
 */
export class LeaderTail {
  readonly leader: number;
  readonly #broker: BrokerHost;
  readonly #reader: RingReader;
  /** Whether this broker holds a replica of a partition led there; otherwise the ring is none of its business. */
  #isActive = false;
  /** What lies in the ring next is no frame as the leader made it. */
  #isDamaged = false;

  constructor(broker: BrokerHost, leader: BrokerAddresses) {
    this.#broker = broker;
    this.leader = leader.id;
    broker.arena.reach(leader.ring + ringBytes(leader.ringCapacity));
    this.#reader = new RingReader(broker.arena.buffer, leader.ring, leader.ringCapacity, 0);
  }

  /** End of what this broker has read of the ring. */
  get cursor(): number {
    return this.#reader.position;
  }

  /** This broker now follows partitions led there: from here on, since nothing of theirs has been published yet. */
  activate(): void {
    if (this.#isActive) return;
    this.#isActive = true;
    this.#reader.seekToEnd();
  }

  hasWork(): boolean {
    return this.#isActive && this.#reader.hasWork();
  }

  /** Takes what the leader has published, within a pass's bound. True where there was something. */
  pass(): boolean {
    const reader = this.#reader;
    let taken = 0;
    if (!this.#isActive) return false;
    while (taken < PASS_BYTES && this.#next()) {
      taken += Math.max(reader.length, PASS_BATCH_BYTES);
      // Nothing that was read of an overwritten frame holds, not even that it could be passed over.
      if (!this.#take() && !reader.intact()) break;
    }
    // Before the reader goes elsewhere, and before anything is reported: what is staged lies in the ring.
    const isWhole = this.#broker.flush();
    const isDamaged = this.#isDamaged;
    if (isDamaged) this.#recover('corruptFrames');
    else if (!isWhole || reader.lapped || (taken > 0 && !reader.intact())) this.#recover('laps');
    if (taken > 0) this.#broker.progressed(this.leader);
    return taken > 0 || isDamaged;
  }

  /** The next frame, if its header is as the leader wrote it: nothing in it is believed before. */
  #next(): boolean {
    const reader = this.#reader;
    try {
      if (!reader.next()) return false;
    } catch (error) {
      if (!(error instanceof CorruptFrameError)) throw error;
      this.#isDamaged = true;
      return false;
    }
    const { int32 } = this.#broker.arena;
    const { offset, length } = reader;
    if (checkOfFrame(int32, offset, length) === int32[offset / 4 + RING_CHECK_WORD]) return true;
    // Of an overwritten frame nothing holds: then the reader is lapped.
    this.#isDamaged = reader.intact();
    return false;
  }

  /** The leader's answer was current at ring position `position`: whatever came since must still be read here. */
  rejoinAt(position: number): void {
    if (position < this.#reader.position) this.#reader.seek(position);
  }

  /** Appends the batch of the present frame, or finds that it is known already, or that something is missing. */
  #take(): boolean {
    const { arena, kernels, metrics, replicas } = this.#broker;
    const { bytes } = arena;
    const frame = this.#reader.offset;
    const replica = replicas[arena.int32[frame / 4 + RING_PARTITION_WORD]];
    if (replica === undefined || replica.info.leader !== this.leader || replica.source !== 'ring')
      return false;
    if (replica.state !== 'online') return false;
    const at = frame + RING_HEADER_BYTES;
    const length = this.#reader.length - RING_HEADER_BYTES;
    const { log } = replica;
    const place = judgeFrame(replica, readBaseOffset(bytes, at), readLeaderEpoch(bytes, at));
    if (place === 'known') return false;
    const isSound =
      place === 'next' &&
      checkBatch(bytes, at, length, length) === 0 &&
      batchBytes(bytes, at) === length &&
      kernels.crc32c(at + CRC_FROM, length - CRC_FROM) === readCrc(bytes, at);
    if (!isSound) {
      if (!this.#reader.intact()) return false;
      metrics.count(place === 'next' ? 'corruptFrames' : 'unfitFrames');
      this.#broker.readLog(replica);
      return false;
    }
    const appendedAtMs = arena.float64[frame / 8 + RING_TIME_WORD];
    replica.learn(this.#broker.tableOf(this.leader).loadHwmIn(replica.info.epoch, replica.id));
    // What a lapped reader has taken is undone before anything of it is visible: here, or when it is flushed.
    if (!this.#append(replica, at, length)) {
      replica.taken.truncateTo(log.leo);
      return false;
    }
    replica.taken.push(log.leo, appendedAtMs);
    return true;
  }

  #append(replica: Replica, at: number, length: number): boolean {
    this.#broker.staged(replica);
    try {
      return replica.log.append(this.#broker.arena.bytes, at, length, this.#reader);
    } catch (error) {
      this.#broker.diskFailed(error);
      return false;
    }
  }

  /**
   * The writer has overrun this reader, or nobody knows whose frame it is that is damaged: what any partition may have
   * missed is in the leader's log.
   */
  #recover(reason: 'laps' | 'corruptFrames'): void {
    this.#broker.metrics.count(reason);
    this.#isDamaged = false;
    this.#reader.seekToEnd();
    for (const replica of this.#broker.replicas) {
      if (replica?.info.leader === this.leader && replica.source === 'ring') this.#broker.readLog(replica);
    }
  }
}
