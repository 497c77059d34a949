import type { ErrorCode } from './errors.ts';

/**
 * What a caller hands in: strings are written as UTF-8; a null value is a tombstone. Other fields are refused, `partition`
 * among them: the key chooses the partition. A record that was read may be sent on as it is, and goes by its key too.
 */
export interface RecordInput {
  readonly key?: Uint8Array | string | null;
  readonly value?: Uint8Array | string | null;
  readonly headers?: HeadersInput;
  /** Milliseconds since 1970; the time of the call where it is left out. */
  readonly timestamp?: number;
}

export type HeaderValueInput = Uint8Array | string | null;
export type HeadersInput =
  | { readonly [name: string]: HeaderValueInput }
  | readonly (readonly [string, HeaderValueInput])[];

/** Where a record landed. With acks 0 nobody tells, and offset is -1. */
export interface RecordPlace {
  readonly partition: number;
  readonly offset: number;
}

export type Acks = 0 | 1 | 'all';
export type Durability = 'memory' | 'os' | 'fsync';

/** A partition as the coordinator knows it; brokers and clients hold copies. */
export interface PartitionInfo {
  /** Dense over the whole cluster: the index of its slot in every broker's partition table. */
  readonly id: number;
  readonly topic: string;
  readonly partition: number;
  /** Broker ids, the preferred leader first. */
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** -1 where nobody can lead it. */
  readonly leader: number;
  readonly epoch: number;
  /**
   * Replicas outside of the ISR that could lead all the same: they left while it was too small for anything to be
   * committed since. As long as there are such, nothing is.
   */
  readonly eligible?: readonly number[];
  /** Replicas that come and that go, and for how many bytes a second each broker may fetch what such replicas lack. */
  readonly adding?: readonly number[];
  readonly removing?: readonly number[];
  readonly throttle?: number | null;
  /** Why nobody leads it: a sentence that says what to do. */
  readonly unavailable?: string;
}

/** A run of whole batches inside one stretch of memory. Valid until any log of the broker is read next, or this one written. */
export interface Extent {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

/** Tells, after bytes were used, whether they were whole throughout: a ring's reader. */
export interface Guard {
  /** Where the present frame begins, for intactSince(). */
  readonly framePosition: number;
  /** Whether the present frame still is what it was. */
  intact(): boolean;
  /** The same for all frames from the one that began at this position. */
  intactSince(framePosition: number): boolean;
}

/** Where a leader's epoch ended in a log: the offset after its last batch there. */
export interface EpochEnd {
  readonly epoch: number;
  readonly endOffset: number;
}

/** The place that a search by time found, and the timestamp of the record there. */
export interface TimestampedOffset {
  readonly offset: number;
  readonly timestamp: number;
}

/** A batch of an idempotent producer: what a partition remembers of it. */
export interface ProducedBatch {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** -1 in a batch that has no place in a sequence. */
  readonly firstSequence: number;
  readonly baseOffset: number;
  readonly nextOffset: number;
  /** The largest of its records. */
  readonly timestamp: number;
}

/** What the next batch of an idempotent producer is to a partition. Only 'next' may be appended. */
export type SequenceVerdict = 'next' | 'duplicate' | 'gap' | 'stale epoch' | 'unknown producer';

/** The idempotent producers of a log. */
export interface KnownProducers {
  /** What the batch there, of an idempotent producer, would be: what is staged counts. Reads what it has to know first. */
  judge(bytes: Uint8Array, at: number): SequenceVerdict;
  /** The batch of this log that the one there repeats. */
  original(bytes: Uint8Array, at: number): ProducedBatch | undefined;
  /** As they were at an offset of the log, in Kafka's format: for a replica whose log begins there. */
  at(offset: number): Uint8Array;
}

/** A replica's batches, as the protocol sees them: replication is tested without disks or threads behind this. */
export interface PartitionLog {
  /** The first offset that can be read. */
  readonly logStart: number;
  /** The next offset to be assigned: what is staged counts. */
  readonly leo: number;
  /** End of what the disk has taken: everything below can be read. Never above the LEO. */
  readonly written: number;
  /** Nothing at or above it is dropped by retention. Its owner keeps it at the HWM. */
  committed: number;
  /** The newest epoch that has begun here; -1 where there is none. */
  readonly lastEpoch: number;
  readonly producers: KnownProducers;
  /**
   * Takes a whole batch with its offsets stamped, which must begin at the LEO. It is staged: `source` has to stay as
   * it is until flush(). With a guard it may be overwritten meanwhile, and then nothing is kept of all that is staged.
   * Flushes by itself once enough is staged, so it answers and throws what flush() does.
   */
  append(source: Uint8Array, at: number, length: number, guard?: Guard): boolean;
  /**
   * Hands everything staged to the disk, in one write where possible. False where a guard said that bytes were
   * overwritten: then the log is as it was before they were staged. Throws a DiskError.
   */
  flush(): boolean;
  /** Makes durable what was written before the call, and resolves to its end. Rejects with a DiskError. */
  sync(): Promise<number>;
  /**
   * Whole batches from the one that holds `offset`, up to `maxBytes` but at least one, all of them below
   * `endOffset` and written; undefined where there is none. The caller has checked that logStart <= offset <= LEO.
   */
  read(offset: number, maxBytes: number, endOffset: number): Extent | undefined;
  /** The first record below `endOffset` that is not older than `timestamp`. */
  offsetForTimestamp(timestamp: number, endOffset: number): TimestampedOffset | undefined;
  /** Drops every batch that reaches beyond `offset`, so that LEO <= offset afterwards. */
  truncateTo(offset: number): void;
  /**
   * Empties the log and lets it begin at `offset`: for a replica whose leader has nothing older. `producers` are those that
   * the leader knew there.
   */
  restartAt(offset: number, producers?: Uint8Array): void;
  /** The log begins at `offset`, at most at its end; batches that lie below may go. */
  deleteBefore(offset: number): void;
  /** A leader's epoch begins where the log ends, also if nothing of it follows. Batches of a newer one begin it too. */
  beginEpoch(epoch: number): void;
  /** Where the newest epoch that is not above `epoch` ended here (KIP-101); epoch -1 where there is none. */
  endOfEpoch(epoch: number): EpochEnd;
}

/** A replica's raw batches, for comparing it with its leader. */
export interface ReplicaBytes {
  readonly logStart: number;
  readonly leo: number;
  readonly hwm: number;
  /** Whole batches from the one that holds the wanted offset; empty at the end of the log. */
  readonly bytes: Uint8Array;
  readonly nextOffset: number;
}

/**
 * What a broker counts. As a leader, of followers that read its log: `wishesRefused`, and `wishesFenced` of those, where one
 * spoke of another reign. As a follower, of frames in a leader's ring: `corruptFrames`, and `unfitFrames`, which are sound
 * and do not continue its log. `requestsFenced` and `sequencesRefused` are counted among what was refused as well.
 */
export type CounterName =
  | 'batchesAppended'
  | 'batchesRefused'
  | 'duplicateBatches'
  | 'corruptFrames'
  | 'laps'
  | 'catchUps'
  | 'damagedSegments'
  | 'readsRefused'
  | 'requestsFenced'
  | 'requestsTimedOut'
  | 'isrShrinks'
  | 'isrExpansions'
  | 'corruptRequests'
  | 'unfitFrames'
  | 'wishesRefused'
  | 'wishesFenced'
  | 'sequencesRefused';

/** How a follower keeps up with what a broker leads: with the partition where it is furthest behind. */
export interface FollowerLag {
  readonly follower: number;
  /** For how long it has not had all that the leader had, where the leader waits for it; looked at every 200 ms. */
  readonly behindMs: number;
  readonly records: number;
}

/** A broker's counters and lags, as they stood at one moment. */
export interface BrokerMetrics {
  readonly broker: number;
  readonly counters: Readonly<Record<CounterName, number>>;
  /** Histograms: counts by bucket, for `percentiles`. */
  readonly lagHwm: Uint32Array;
  readonly lagFollower: Uint32Array;
  /** As a leader: those that follow it. */
  readonly followers: readonly FollowerLag[];
}

/**
 * Offline: its thread runs, but its disk has failed. Fenced: its thread is there, but has given no sign of life for a
 * while, and leads nothing until it does.
 */
export type BrokerState = 'starting' | 'running' | 'fenced' | 'offline' | 'closing' | 'closed' | 'failed';

/**
 * What a broker's disk can be made to be. Slow: each call takes some time, and blocks the broker. Full: what lies there can be
 * read and written over, and nothing gets longer. Failing: every call is refused. Wiped: replaced by an empty one, once.
 */
export type DiskFault = 'slow' | 'full' | 'failing' | 'wiped' | 'sound';

/** What a disk is like: one that was wiped is as sound as before. */
export type DiskCondition = Exclude<DiskFault, 'wiped'>;

/** Bytes of a replica's files that were torn or damaged: taken out by the start, or found later. */
export interface RecoveryReport {
  readonly broker: number;
  readonly topic: string;
  readonly partition: number;
  readonly file: string;
  readonly position: number;
  readonly bytes: number;
  /** The first offset that was no longer there, or cannot be read. */
  readonly fromOffset: number;
  /** What was reported alone is as it was: see `reason` for what can be done. */
  readonly action: 'cut' | 'removed' | 'set aside' | 'reported';
  readonly reason: string;
}

/** A partition that is getting other replicas. */
export interface Reassignment {
  readonly topic: string;
  readonly partition: number;
  /** Those it has meanwhile: those it will have, the preferred leader first, and those that go then. */
  readonly replicas: readonly number[];
  readonly adding: readonly number[];
  readonly removing: readonly number[];
  readonly throttleBytesPerSecond?: number;
  /** One for each replica that is added. */
  readonly progress: readonly ReplicaProgress[];
}

export interface ReplicaProgress {
  readonly broker: number;
  /** How many of the records that the leader has at present. */
  readonly doneRecords: number;
  readonly totalRecords: number;
  /** It is, and waits for the others. */
  readonly inSync: boolean;
}

/** What has come of the election of a partition's leader. */
export interface ElectionResult {
  readonly topic: string;
  readonly partition: number;
  /** Who leads it now; -1 where nobody does. */
  readonly leader: number;
  /** Why nothing has changed. */
  readonly code?: ErrorCode;
  readonly error?: string;
}

/** How far a start has looked through the log of a replica. */
export interface RecoveryProgress {
  readonly broker: number;
  readonly topic: string;
  readonly partition: number;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** What is said of the quorum, for people. */
export interface QuorumStatus {
  /** The broker whose voter leads; undefined while none does. */
  readonly leaderId: number | undefined;
  readonly term: number;
  /** The last entry of the metadata's log that is known to be committed. */
  readonly offset: number;
  /** What has become of voters since the start: files that were damaged, or could not be written. */
  readonly notes: readonly string[];
  /** Brokers with a vote. */
  readonly voters: readonly number[];
}
