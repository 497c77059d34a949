/** What a caller hands in: strings are written as UTF-8; a null value is a tombstone. */
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
  readonly leader: number;
  readonly epoch: number;
}
