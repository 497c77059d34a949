import { RingReader, ringBytes } from '../../native-free/sharedarraybuffer-utils/index.ts';
import type { Replica } from '../core/replica.ts';
import { PASS_BYTES } from '../limits.ts';
import {
  batchBytes,
  CRC_FROM,
  checkBatch,
  readBaseOffset,
  readCrc,
  readLeaderEpoch,
} from '../log/record-batch.ts';
import type { Broker } from './broker.ts';
import { nowMs } from './clock.ts';
import type { BrokerAddresses } from './directory.ts';
import { RING_HEADER_BYTES, RING_PARTITION_WORD, RING_TIME_WORD } from './ring-frames.ts';

/**
 * Follows one leader broker: one cursor in its tail ring for all the partitions that this broker follows there.
 * Batches go straight from the leader's ring to this broker's log.
 */
export class LeaderTail {
  readonly leader: number;
  readonly #broker: Broker;
  readonly #reader: RingReader;

  constructor(broker: Broker, leader: BrokerAddresses) {
    this.#broker = broker;
    this.leader = leader.id;
    broker.arena.reach(leader.ring + ringBytes(leader.ringCapacity));
    this.#reader = new RingReader(broker.arena.buffer, leader.ring, leader.ringCapacity, 0);
  }

  hasWork(): boolean {
    return this.#reader.hasWork();
  }

  /** Takes what the leader has published, within a pass's bound. True where there was something. */
  pass(): boolean {
    const { replicas, arena } = this.#broker;
    const reader = this.#reader;
    let taken = 0;
    let appended = false;
    while (taken < PASS_BYTES && reader.next()) {
      taken += reader.length;
      const replica = replicas[arena.int32[reader.offset / 4 + RING_PARTITION_WORD]];
      if (replica === undefined || replica.info.leader !== this.leader || replica.source !== 'ring') continue;
      if (this.#take(replica, reader.offset + RING_HEADER_BYTES, reader.length - RING_HEADER_BYTES))
        appended = true;
      if (replica.source !== 'ring') this.#broker.catchUp.want(replica);
    }
    if (reader.lapped) this.#recover();
    if (appended) this.#broker.progressed(this.leader);
    return taken > 0;
  }

  /** The leader's answer was current at ring position `position`: whatever came since must still be read here. */
  rejoinAt(position: number): void {
    if (position < this.#reader.position) this.#reader.seek(position);
  }

  /** Appends one batch, or finds that it is known already, or that something before it is missing. */
  #take(replica: Replica, at: number, length: number): boolean {
    const { arena, kernels, metrics, table } = this.#broker;
    const { bytes } = arena;
    const { log } = replica;
    const baseOffset = readBaseOffset(bytes, at);
    if (baseOffset < log.leo) return false;
    const sound =
      baseOffset === log.leo &&
      readLeaderEpoch(bytes, at) === replica.info.epoch &&
      checkBatch(bytes, at, length, length) === 0 &&
      batchBytes(bytes, at) === length &&
      kernels.crc32c(at + CRC_FROM, length - CRC_FROM) === readCrc(bytes, at);
    if (!sound) {
      // A gap or damage is real only if the writer has not lapped this reader meanwhile.
      if (this.#reader.intact()) {
        if (baseOffset === log.leo) metrics.count('corruptFrames');
        replica.source = 'log';
      }
      return false;
    }
    const appendedAtMs = arena.float64[(at - RING_HEADER_BYTES) / 8 + RING_TIME_WORD];
    log.committed = this.#broker.tableOf(this.leader).loadHwm(replica.id);
    log.append(bytes, at, length);
    if (!this.#reader.intact()) {
      // What a lapped reader took is undone before anything of it is visible.
      log.truncateTo(baseOffset);
      return false;
    }
    // Publishes the batch: the bytes are in the log before the LEO says so.
    table.storeLeo(replica.id, log.leo);
    metrics.lagFollower.record(nowMs() - appendedAtMs);
    return true;
  }

  /** The writer has overrun this reader: what every partition missed is in the leader's log. */
  #recover(): void {
    this.#broker.metrics.count('laps');
    this.#reader.seekToEnd();
    for (const replica of this.#broker.replicas) {
      if (replica === undefined || replica.info.leader !== this.leader || replica.source !== 'ring') continue;
      if (!replica.info.replicas.includes(this.#broker.id)) continue;
      replica.source = 'log';
      this.#broker.catchUp.want(replica);
    }
  }
}
