import type { EventEmitter } from 'node:events';
import type { Disk } from '../log/disk.ts';
import type { Arena } from './arena.ts';
import type { BrokerHome, BrokerThreadData } from './directory.ts';

/** Time, as brokers and the coordinator see it: that of the process, or a simulated one. */
export interface Clock {
  /** Milliseconds that agree between the threads of a cluster. */
  nowMs(): number;
  /** Milliseconds since 1970, for record timestamps. */
  wallClockMs(): number;
  /** Calls back once, after about this time; the function it returns calls that off. It does not keep the process. */
  schedule(delayMs: number, callback: () => void): () => void;
  /** The same, and the process lasts as long. */
  scheduleKept(delayMs: number, callback: () => void): () => void;
  /** Calls back again and again, until that is called off. It does not keep the process. */
  every(periodMs: number, callback: () => void): () => void;
  /** Resolves when ports, sockets and other timers have had their turn. */
  turn(): Promise<void>;
}

/** One end of a connection between two threads: a MessagePort, or what is played in its place. */
export interface Port {
  postMessage(message: unknown, transfer?: readonly object[]): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  close(): void;
}

/** What a broker finds around it, on its own thread. */
export interface BrokerSurroundings {
  readonly clock: Clock;
  /** No two are the same; names of directories that nobody looks for are made of them. */
  newUuid(): string;
  /** Without a home one that lives in memory. */
  openDisk(home: BrokerHome | undefined): Disk;
}

/**
 * What a broker runs in: a Worker, or what is played in its place. It tells of 'online', 'message', 'error' and 'exit' as
 * a Worker does.
 */
export interface BrokerThread extends EventEmitter {
  postMessage(message: unknown, transfer?: readonly object[]): void;
  /** Ends it in the midst of whatever it does. */
  terminate(): Promise<unknown>;
}

/** What the coordinator of a cluster finds around it. */
export interface ClusterSurroundings {
  readonly clock: Clock;
  readonly sizes: {
    readonly tailRingBytes: number;
    readonly requestChannelBytes: number;
    readonly responseChannelBytes: number;
  };
  /** From 0 to below 1. */
  random(): number;
  newUuid(): string;
  newArena(): Arena;
  /** The two ends of a connection between brokers. */
  connect(): readonly [Port, Port];
  startThread(data: BrokerThreadData): BrokerThread;
}
