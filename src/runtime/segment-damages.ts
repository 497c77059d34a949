import { crc32c } from '../../native-free/crc32c/index.ts';
import type { Replica } from '../core/replica.ts';
import { batchBytes, CRC_FROM, readBaseOffset, readCrc } from '../log/record-batch.ts';
import { DamagedSegmentError, type Segment } from '../log/segment.ts';
import type { BrokerNotice, HealedSegment } from './directory.ts';
import type { CareHost } from './log-care.ts';
import { segmentLogOf } from './replica-opening.ts';

/** Where a segment is no longer what was written. */
interface Damage {
  readonly position: number;
  /** The first offset that cannot be read. */
  readonly fromOffset: number;
  readonly sentence: string;
}

/**
 * Segments of this broker that were found damaged, by a check or by a reader: each is counted and told once. The main
 * thread then lets a follower leave the ISR, and heal(); a leader's are reported, and stay as they are.
 */
export class SegmentDamages {
  readonly #host: CareHost;
  readonly #notify: (notice: BrokerNotice) => void;
  readonly #known = new WeakSet<Segment>();
  /** By partition: the first one that was not healed. */
  readonly #first = new Map<number, Segment>();

  constructor(host: CareHost, notify: (notice: BrokerNotice) => void) {
    this.#host = host;
    this.#notify = notify;
  }

  isKnown(segment: Segment): boolean {
    return this.#known.has(segment);
  }

  /** What a reader has met. */
  met(replica: Replica, { path, position, message: sentence }: DamagedSegmentError): void {
    const segment = segmentLogOf(replica)?.segmentAt(path);
    if (segment !== undefined)
      this.found(replica, segment, { position, fromOffset: segment.baseOffset, sentence });
  }

  /**
   * Somebody got the batch that holds `offset`, and its checksum said that it is damaged: whether it is so here, or was on
   * its way alone.
   */
  doubted(replica: Replica, offset: number): boolean {
    const { segments, written } = segmentLogOf(replica) ?? { segments: [], written: 0 };
    if (offset >= written) return false;
    // After compaction a segment may end before the offset.
    const segment = segments.find(({ nextOffset }) => nextOffset > offset);
    const batch = segment?.find(offset);
    if (segment === undefined || batch === undefined) return false;
    const { bytes, at, position } = batch;
    if (crc32c(bytes.subarray(at + CRC_FROM, at + batchBytes(bytes, at))) === readCrc(bytes, at))
      return false;
    const fromOffset = readBaseOffset(bytes, at);
    const sentence = `The batch at offset ${fromOffset} does not match its checksum, as a follower has found.`;
    this.found(replica, segment, { position, fromOffset, sentence });
    return true;
  }

  found(replica: Replica, segment: Segment, { position, fromOffset, sentence }: Damage): void {
    if (this.#known.has(segment)) return;
    this.#known.add(segment);
    const { id } = replica;
    const first = this.#presentFirst(replica);
    if (first === undefined || segment.baseOffset < first.baseOffset) this.#first.set(id, segment);
    this.#host.metrics.count('damagedSegments');
    const { topic, partition } = replica.info;
    const { path: file, bytes } = segment;
    this.#notify({
      notice: 'damaged',
      id,
      topic,
      partition,
      file,
      position,
      bytes: bytes - position,
      fromOffset,
      sentence,
    });
  }

  /** Does something to a replica's log: false where that has met damage. */
  async guard(replica: Replica, act: () => void | Promise<void>): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      if (!(error instanceof DamagedSegmentError)) throw error;
      this.met(replica, error);
      return false;
    }
  }

  /** Where the next start has to begin to look, so that another replica leads that has what is damaged here. */
  suspectFrom(replica: Replica): number {
    const hasPeers = replica.info.isr.some((broker) => broker !== this.#host.id);
    return (hasPeers ? this.#presentFirst(replica)?.baseOffset : undefined) ?? Number.POSITIVE_INFINITY;
  }

  /**
   * As a follower that is out of the ISR: the segment is set aside, with what lies behind it, and fetched again. Undefined
   * where it is no longer there; the replica asks its leader for what it lacks all the same, and so comes back.
   */
  heal(replica: Replica | undefined): HealedSegment | undefined {
    if (replica === undefined || replica.state !== 'online' || replica.isLeader) return undefined;
    const { replicas, isr } = replica.info;
    if (isr.includes(this.#host.id)) return undefined;
    if (!replicas.includes(this.#host.id)) {
      // One that has left takes nothing more. Should it come back, whoever meets the damage again tells of it again.
      const segment = this.#presentFirst(replica);
      this.#first.delete(replica.id);
      if (segment !== undefined) this.#known.delete(segment);
      return undefined;
    }
    let healed: HealedSegment | undefined;
    try {
      healed = this.#setAside(replica);
    } catch (error) {
      this.#host.diskFailed(error);
      return undefined;
    }
    this.#host.catchUp.follow(replica);
    return healed;
  }

  #setAside(replica: Replica): HealedSegment | undefined {
    const segment = this.#presentFirst(replica);
    const log = segmentLogOf(replica);
    if (segment === undefined || log === undefined) return undefined;
    this.#first.delete(replica.id);
    const { bytes, baseOffset: fromOffset } = segment;
    const file = log.setAside(segment);
    replica.hwm = Math.min(replica.hwm, log.leo);
    this.#host.restarted(replica);
    return { file, bytes, fromOffset };
  }

  #presentFirst(replica: Replica): Segment | undefined {
    const segment = this.#first.get(replica.id);
    const isPresent = segment !== undefined && segmentLogOf(replica)?.segmentAt(segment.path) === segment;
    return isPresent ? segment : undefined;
  }
}
