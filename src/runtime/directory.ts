import type { TopicConfig } from '../config.ts';
import type { LogEnd } from '../core/reopening.ts';
import type { ErrorCode } from '../errors.ts';
import type { RecoveryCut } from '../log/open-log.ts';
import type { DiskCondition, Durability, PartitionInfo } from '../types.ts';
import type { LinkAddresses } from './client-frames.ts';
import type { Port } from './surroundings.ts';

/** Where one broker's shared regions lie. */
export interface BrokerAddresses {
  readonly id: number;
  readonly bell: number;
  readonly ring: number;
  readonly ringCapacity: number;
  /** One progress counter for each leader this broker may follow. */
  readonly progress: number;
  readonly metrics: number;
  /** The chunks of its partition table. */
  readonly chunks: readonly number[];
}

/** What a broker thread is started with. */
export interface BrokerThreadData {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly workspace: number;
  /** Who is cut off from whom. */
  readonly sides: number;
  /** Where it gives its signs of life. */
  readonly vitals: number;
  readonly id: number;
  readonly brokers: readonly BrokerAddresses[];
  /** How safe a batch has to be before it counts for the HWM and is acknowledged. */
  readonly durability: Durability;
  /** Where its files lie; undefined where it keeps none. */
  readonly home?: BrokerHome;
  /** How many files its logs may keep open, where that is not as many as usual. */
  readonly openFilesMax?: number;
  /** A port to each other broker, for followers that read a leader's log. */
  readonly peers: ReadonlyMap<number, Port>;
  /** What its disk is like, where that is other than sound. */
  readonly disk?: DiskCondition | undefined;
  /** Where it is to be other than usual. */
  readonly care?: Partial<CareSettings> | undefined;
}

/** How often and how fast sealed segments are compacted, and checked again. */
export interface CareSettings {
  /** Between two looks at what wants it. */
  readonly everyMs: number;
  readonly compactionBytesPerSecond: number;
  /** A segment is not checked again before this time. */
  readonly scrubIntervalMs: number;
  readonly scrubBytesPerSecond: number;
}

export interface PartitionAssignment {
  readonly info: PartitionInfo;
  readonly config: TopicConfig;
  readonly topicId: string;
  /** It was there when the cluster stopped: its log is opened, and nobody leads it before 'lead' says who. */
  readonly isKept: boolean;
  /** Nobody has seen it yet, and perhaps nobody has made it: where nothing is there of it, nothing is missed. */
  readonly isUnseen?: boolean;
}

/** The directory of one broker, and what is known of how the last run ended. */
export interface BrokerHome {
  readonly path: string;
  /** It goes when the cluster closes: nothing needs to be left in order there. */
  readonly isTemporary: boolean;
  /** The machine may have gone down since the files were written, so that some of their bytes may be missing. */
  readonly wasPowerLost: boolean;
  /** It is new, though the broker had replicas: whatever is missing there is lost. */
  readonly hasLostAll?: boolean;
}

/** What opening a replica's log found. */
export interface OpenedReplica {
  readonly id: number;
  /** Damaged: in the midst of its log, which was left as it was. Offline: its disk refused. */
  readonly state: 'online' | 'damaged' | 'offline';
  readonly leo: number;
  /** -1 where it has never had a leader. */
  readonly lastEpoch: number;
  readonly logStart: number;
  /** As far as this replica knew, when it was last written down, that records are committed. */
  readonly hwm: number;
  /** Why it is not online: a sentence. */
  readonly error?: string;
  /** What was taken out of the log to bring it into order. Files are named within the broker's directory. */
  readonly cuts: readonly RecoveryCut[];
}

/** A partition that is to be led from now on, after a start, and how far the followers in its ISR are. */
export interface Reign {
  readonly info: PartitionInfo;
  readonly followers: readonly LogEnd[];
}

/** A damaged segment that was set aside, under the name that its file has now. */
export interface HealedSegment {
  readonly file: string;
  readonly bytes: number;
  /** Where the log ended then: from there it is fetched again. */
  readonly fromOffset: number;
}

/** What a leader says to a request to delete records. */
export interface DeletedRecords {
  readonly error: 'NONE' | 'OFFSET_OUT_OF_RANGE' | 'NOT_LEADER_OR_FOLLOWER' | 'KAFKA_STORAGE_ERROR';
  readonly logStart: number;
  readonly hwm: number;
}

/** The main thread's requests to a broker thread; each is answered by one ControlReply with its sequence. */
export type ControlRequest =
  | {
      readonly type: 'partitions';
      readonly partitions: readonly PartitionAssignment[];
      /** The chunks of every broker's partition table, by broker id. */
      readonly chunks: ReadonlyMap<number, readonly number[]>;
      /** Whether the broker holds no others than it finds among these, as it is told once at its start. */
      readonly areAll?: boolean;
    }
  | { readonly type: 'reform'; readonly partitions: readonly PartitionInfo[] }
  /** Comes before followers learn of the new leader, so that it is ready for them. */
  | { readonly type: 'lead'; readonly reigns: readonly Reign[] }
  /** The HWM waits for this follower from now on, if it has reached it: the answer tells. */
  | {
      readonly type: 'admit';
      readonly partition: number;
      readonly epoch: number;
      readonly follower: number;
    }
  /**
   * A broker has come, or come back: its memory, and a port to it unless it has ended meanwhile. Its last life's memory is
   * used no more.
   */
  | { readonly type: 'welcome'; readonly addresses: BrokerAddresses; readonly port: Port | undefined }
  /** A broker was removed: its memory is used no more. */
  | { readonly type: 'part'; readonly broker: number }
  /** Set aside what was found damaged of this partition: this broker has left its ISR. Answered with a HealedSegment. */
  | { readonly type: 'heal'; readonly partition: number }
  | { readonly type: 'delete-records'; readonly partition: number; readonly offset: number }
  /** Replicas that come here: their logs are made, and filled from their leaders. What is here already stays. */
  | { readonly type: 'add'; readonly partitions: readonly PartitionAssignment[] }
  /** Topics that were deleted, or partitions that went to other brokers: their replicas end here, and their files go. */
  | { readonly type: 'remove'; readonly partitions: readonly number[]; readonly haveMoved?: boolean }
  /** The same for those of which this broker did not hear, since it did not run: directories, and whose they were. */
  | { readonly type: 'discard'; readonly directories: ReadonlyMap<string, string> }
  /** A topic is to be like this from now on. */
  | { readonly type: 'configure'; readonly partitions: readonly number[]; readonly config: TopicConfig }
  | { readonly type: 'attach'; readonly client: number; readonly addresses: LinkAddresses }
  | { readonly type: 'detach'; readonly client: number }
  | {
      readonly type: 'inspect';
      readonly partition: number;
      readonly offset: number;
      readonly maxBytes: number;
    }
  /** What was said of the metadata up to this entry of their log was said before. */
  | { readonly type: 'metadata'; readonly offset: number }
  /** The broker's disk is to be like this from now on: a fault that somebody wants to see. */
  | { readonly type: 'afflict'; readonly condition: DiskCondition }
  | { readonly type: 'close' };

export interface ControlReply {
  readonly sequence: number;
  readonly error?: string;
  /** Where it is another one than BROKER_FAILED. */
  readonly code?: ErrorCode | undefined;
  readonly value?: unknown;
}

/** A place in a file of a partition, and what is wrong there. The file is named within the broker's directory. */
export interface SegmentFault {
  readonly topic: string;
  readonly partition: number;
  readonly file: string;
  readonly position: number;
  readonly fromOffset: number;
  readonly sentence: string;
}

/** What a broker thread tells the main thread without having been asked. */
export type BrokerNotice =
  /** Its partitions went offline, though the thread lives. */
  | { readonly notice: 'disk-failed'; readonly message: string }
  /** A replica that is not in the ISR has all that its leader has. */
  | { readonly notice: 'caught-up'; readonly partition: number }
  /** As the leader of this epoch: these followers have not kept up for too long, and it still waits for them. */
  | {
      readonly notice: 'lagging';
      readonly partition: number;
      readonly epoch: number;
      readonly followers: readonly number[];
    }
  /** A client has sent what no client sends, and is not listened to any more. */
  | { readonly notice: 'link-cut'; readonly client: number; readonly why: string }
  /** Bytes of a segment are no longer what was written, from `position` on as far as anybody knows. */
  | ({ readonly notice: 'damaged'; readonly id: number; readonly bytes: number } & SegmentFault)
  /** A log, or part of it, cannot be compacted. */
  | ({ readonly notice: 'uncompacted' } & SegmentFault)
  /** A log is being looked through after an unclean end. */
  | {
      readonly notice: 'recovering';
      readonly topic: string;
      readonly partition: number;
      readonly doneBytes: number;
      readonly totalBytes: number;
    };
