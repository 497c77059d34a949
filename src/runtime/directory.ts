import type { MessagePort } from 'node:worker_threads';
import type { TopicConfig } from '../config.ts';
import type { Durability, PartitionInfo } from '../types.ts';
import type { LinkAddresses } from './client-frames.ts';

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
  readonly id: number;
  readonly brokers: readonly BrokerAddresses[];
  /** How safe a batch has to be before it counts for the HWM and is acknowledged. */
  readonly durability: Durability;
  /** A port to each other broker, for followers that read a leader's log. */
  readonly peers: ReadonlyMap<number, MessagePort>;
}

export interface PartitionAssignment {
  readonly info: PartitionInfo;
  readonly config: TopicConfig;
}

/** The main thread's requests to a broker thread; each is answered by one ControlReply with its sequence. */
export type ControlRequest =
  | {
      readonly type: 'partitions';
      readonly partitions: readonly PartitionAssignment[];
      /** New chunks of every broker's partition table, by broker id. */
      readonly chunks: ReadonlyMap<number, readonly number[]>;
    }
  | { readonly type: 'reform'; readonly partitions: readonly PartitionInfo[] }
  | { readonly type: 'attach'; readonly client: number; readonly addresses: LinkAddresses }
  | { readonly type: 'detach'; readonly client: number }
  | {
      readonly type: 'inspect';
      readonly partition: number;
      readonly offset: number;
      readonly maxBytes: number;
    }
  | { readonly type: 'close' };

export interface ControlReply {
  readonly sequence: number;
  readonly error?: string;
  readonly value?: unknown;
}

/** What a broker thread tells the main thread without having been asked: its partitions went offline. */
export interface BrokerNotice {
  readonly notice: 'disk-failed';
  readonly message: string;
}
