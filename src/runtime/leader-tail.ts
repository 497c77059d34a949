import { RingReader, ringBytes } from '../../native-free/sharedarraybuffer-utils/index.ts';
import { judgeFrame } from '../core/partition-follower.ts';
import type { Replica } from '../core/replica.ts';
import { PASS_BYTES, REPORT_EVERY_BYTES } from '../limits.ts';
import {
  batchBytes,
  CRC_FROM,
  checkBatch,
  readBaseOffset,
  readCrc,
  readLeaderEpoch,
} from '../log/record-batch.ts';
import type { BrokerHost } from './broker-host.ts';
import type { BrokerAddresses } from './directory.ts';

/**
 * A frame of a tail ring: one batch as the leader has stamped it, behind a header of 16 bytes.
 *
 *   | appended at, ms (float64) | partition id (int32) | unused (int32) | the batch ...
 */
export const RING_HEADER_BYTES = 16;

/** Word of the header, counted in int32. */
export const RING_PARTITION_WORD = 2;

/** Word of the header, counted in float64. */
export const RING_TIME_WORD = 0;

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
    let reported = 0;
    if (!this.#isActive) return false;
    while (taken < PASS_BYTES && reader.next()) {
      taken += reader.length;
      // Nothing that was read of an overwritten frame holds, not even that it could be passed over.
      if (!this.#take() && !reader.intact()) break;
      if (taken - reported < REPORT_EVERY_BYTES) continue;
      if (!this.#broker.flush()) break;
      reported = taken;
      this.#broker.progressed(this.leader);
    }
    // Before the reader goes elsewhere, and before anything is reported: what is staged lies in the ring.
    const isWhole = this.#broker.flush();
    if (!isWhole || reader.lapped || (taken > 0 && !reader.intact())) this.#recover();
    if (taken > reported) this.#broker.progressed(this.leader);
    return taken > 0;
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
      if (place === 'next') metrics.count('corruptFrames');
      this.#broker.readLog(replica);
      return false;
    }
    const appendedAtMs = arena.float64[frame / 8 + RING_TIME_WORD];
    log.committed = this.#broker.tableOf(this.leader).loadHwm(replica.id);
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

  /** The writer has overrun this reader: what any partition may have missed is in the leader's log. */
  #recover(): void {
    this.#broker.metrics.count('laps');
    this.#reader.seekToEnd();
    for (const replica of this.#broker.replicas) {
      if (replica?.info.leader === this.leader && replica.source === 'ring') this.#broker.readLog(replica);
    }
  }
}
