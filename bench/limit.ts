import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { compileKernels } from '../native-free/kernels/index.ts';
import { channelBytes, POSITION_BYTES, ringBytes } from '../native-free/sharedarraybuffer-utils/index.ts';
import { Arena } from '../src/runtime/arena.ts';
import { endingThreads } from '../src/runtime/thread-end.ts';
import { type TemplateBatch, templateBatch } from './load.ts';
import type { RoundResult, Scenario } from './scenario.ts';

// The physical limit of this machine for what a cluster does with its bytes: raw threads, one pipe after the other.
//
//   producer --channel--> leader --ring--> follower 1 --> its own ring
//                                     \--> follower 2 --> its own ring
//
// The producer copies 256 B values, which lie in arrays of their own as a caller's do, into a batch, copies that into
// the channel and computes its CRC; the leader checks it and copies it into its ring; each follower checks it there
// and copies it into a ring of its own. The same kernels, channels, rings and bells as the product, blocking waits, and
// nothing else: no encoding, offsets, promises, partitions or answers.

/** About what a replica of the cluster scenarios keeps: a smaller ring would stay in nearer caches. */
export const LIMIT_RING_BYTES = 16 << 20;
export const LIMIT_CHANNEL_BYTES = 4 << 20;

/** Where the threads of one limit meet. */
export interface LimitAddresses {
  readonly channel: number;
  /** The leader's ring, then each follower's. */
  readonly rings: readonly number[];
  /** A bell for the producer, the leader, each follower. */
  readonly bells: readonly number[];
  /** How many batches the leader, and each follower, has taken: a position each. */
  readonly taken: readonly number[];
}

export interface LimitThreadData {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly workspace: number;
  readonly role: 'producer' | 'leader' | 'follower';
  /** 0 is the leader, followers count from 1. */
  readonly index: number;
  readonly addresses: LimitAddresses;
  readonly template: TemplateBatch;
  readonly isWhole: boolean;
}

export class LimitScenario implements Scenario {
  readonly name: string;
  readonly #replicas: number;
  readonly #isWhole: boolean;
  readonly #arena = new Arena();
  readonly #workers: Worker[] = [];
  readonly #template = templateBatch();
  #addresses: LimitAddresses | undefined;

  /** `isWhole`: the producer sends one finished batch over and over, instead of gathering its records each time. */
  constructor(name: string, replicas: number, isWhole = false) {
    this.name = name;
    this.#replicas = replicas;
    this.#isWhole = isWhole;
  }

  async start(): Promise<void> {
    const arena = this.#arena;
    const many = (count: number, bytes: number): number[] =>
      Array.from({ length: count }, () => arena.allocate(bytes));
    const addresses = {
      channel: arena.allocate(channelBytes(LIMIT_CHANNEL_BYTES)),
      rings: many(this.#replicas, ringBytes(LIMIT_RING_BYTES)),
      bells: many(this.#replicas + 1, 128),
      taken: many(this.#replicas, POSITION_BYTES),
    };
    this.#addresses = addresses;
    const roles = ['producer', 'leader', ...Array(this.#replicas - 1).fill('follower')];
    roles.forEach((role, index) => {
      const workerData = {
        memory: arena.memory,
        module: compileKernels(),
        workspace: arena.allocateWorkspace(),
        role,
        index: Math.max(0, index - 1),
        addresses,
        template: this.#template,
        isWhole: this.#isWhole,
      };
      this.#workers.push(
        new Worker(new URL('./limit-thread.js', import.meta.url), { workerData, execArgv: [] }),
      );
    });
    await Promise.all(this.#workers.map((worker) => once(worker, 'message')));
  }

  async round(durationMs: number): Promise<RoundResult> {
    const [producer] = this.#workers;
    producer.postMessage({ durationMs });
    const [{ batches, elapsedMs }] = (await once(producer, 'message')) as [
      { batches: number; elapsedMs: number },
    ];
    return { records: batches * this.#template.valuesAt.length, failed: 0, elapsedMs, latenciesMs: [] };
  }

  /** The rings got the same frames in the same order, so they hold the same bytes at the same places. */
  async verify(): Promise<boolean> {
    const { rings } = this.#addresses as LimitAddresses;
    const { bytes } = this.#arena;
    const header = ringBytes(LIMIT_RING_BYTES) - LIMIT_RING_BYTES;
    const frames = rings.map((ring) => Buffer.from(bytes.buffer, ring + header, LIMIT_RING_BYTES));
    const isWritten = frames[0].some((byte) => byte !== 0);
    return isWritten && frames.every((other) => frames[0].equals(other));
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => endingThreads(() => worker.terminate())));
  }
}
