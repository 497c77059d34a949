import { isMainThread, MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { REQUEST_CHANNEL_BYTES, RESPONSE_CHANNEL_BYTES, TAIL_RING_BYTES } from '../limits.ts';
import { Arena } from './arena.ts';
import { systemClock } from './clock.ts';
import { openFilesPerBroker } from './descriptors.ts';
import type { BrokerThreadData } from './directory.ts';
import type { ClusterSurroundings } from './surroundings.ts';
import { afterEnd, beforeEnd, endingThreads } from './thread-end.ts';
import { newUuid } from './uuid.ts';

/** Threads that run, of all clusters. */
let running = 0;

class BrokerWorker extends Worker {
  constructor(data: BrokerThreadData) {
    super(new URL('./broker-thread.js', import.meta.url), {
      name: `tidemark broker ${data.id}`,
      workerData: { ...data, openFilesMax: openFilesPerBroker(data.brokers.length) },
      transferList: [...data.peers.values()] as unknown as MessagePort[],
      // Loader and inspector flags of the caller are not for a broker.
      execArgv: [],
    });
    // The process ends its threads when it ends. A worker does too, but the process lives on, and nobody would call `afterEnd`.
    if (running++ === 0 && isMainThread) process.on('exit', beforeEnd);
    this.once('exit', () => {
      if (--running === 0) process.off('exit', beforeEnd);
      afterEnd();
    });
  }

  override terminate(): Promise<number> {
    return endingThreads(() => super.terminate());
  }
}

/** The real ones: a thread for each broker, and the clock of the process. */
export const processSurroundings: ClusterSurroundings = {
  clock: systemClock,
  sizes: {
    tailRingBytes: TAIL_RING_BYTES,
    requestChannelBytes: REQUEST_CHANNEL_BYTES,
    responseChannelBytes: RESPONSE_CHANNEL_BYTES,
  },
  random: Math.random,
  newUuid,
  newArena: () => new Arena(),
  connect: () => {
    const { port1, port2 } = new MessageChannel();
    return [port1, port2];
  },
  startThread: (data) => new BrokerWorker(data),
};
