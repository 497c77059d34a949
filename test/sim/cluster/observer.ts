// What the simulated cluster shows of itself to its checkers, each of which looks after one invariant.
import type { MetadataPartition } from '../../../src/core/metadata/image.ts';
import type { Broker } from '../../../src/runtime/broker.ts';
import type { Canon } from './canon.ts';
import type { Plan } from './plan.ts';

/** The topic that everything is about; others come and go. */
export const TOPIC = 't';

export interface BrokerView {
  readonly id: number;
  /** No two threads have the same. */
  readonly life: number;
  readonly broker: Broker;
}

/** A batch that a client was told about. */
export interface Acknowledged {
  readonly partition: number;
  readonly baseOffset: number;
  readonly ids: readonly string[];
  readonly acks: 1 | -1;
}

export interface ReadRecord {
  readonly reader: string;
  readonly partition: number;
  readonly offset: number;
  readonly id: string;
  /** Of the answer that it came in. */
  readonly hwm: number;
}

export interface WorldView {
  readonly nowMs: number;
  readonly plan: Plan;
  /** What is known to be committed, from the leaders themselves. */
  readonly canon: Canon;
  /** Those that run. */
  brokers(): readonly BrokerView[];
  /** As the metadata have them; nobody while no cluster runs. */
  partitions(): readonly MetadataPartition[];
  /** Of whom the records of a partition were taken on purpose: nothing is expected of it before it is in sync again. */
  isExcused(broker: number, partition: number): boolean;
  /** Since when the main thread knows that a broker has no thread; undefined where it has one. */
  deadSinceMs(broker: number): number | undefined;
  /** The first violation ends the run. */
  violate(invariant: string, detail: string): void;
}

export interface Observer {
  /** What must hold, in a sentence. */
  readonly invariant: string;
  /** Its thread has done something, whatever; it may have died in the midst of it. Before anybody is shown as stepped. */
  moved?(view: BrokerView): void;
  /** The same, and it lives. */
  stepped?(view: BrokerView): void;
  /** Something of the metadata of a partition has changed; `before` is undefined for the first that is seen of it. */
  changed?(partition: MetadataPartition, before: MetadataPartition | undefined): void;
  acknowledged?(batch: Acknowledged): void;
  read?(record: ReadRecord): void;
  /** The whole process has ended: lives of brokers, too. */
  processEnded?(): void;
  /** All faults have ended, everything is whole again and at rest. */
  ended?(): void;
}
