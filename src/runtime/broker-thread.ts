import { parentPort, workerData } from 'node:worker_threads';
import { Sleeper } from '../../native-free/sharedarraybuffer-utils/index.ts';
import {
  HEARTBEAT_EVERY_MS,
  HOT_WAIT_MS,
  THROTTLE_MAX_MS,
  YIELD_EVERY_MS,
  YIELD_SYNCING_MS,
} from '../limits.ts';
import { MemoryDisk } from '../log/memory-disk.ts';
import { BackgroundClient } from './background-client.ts';
import { Broker } from './broker.ts';
import { BrokerControl } from './broker-control.ts';
import { nowMs, systemClock, yieldToEventLoop } from './clock.ts';
import type { BrokerThreadData } from './directory.ts';
import { FileDisk } from './file-disk.ts';
import type { BrokerSurroundings } from './surroundings.ts';
import { beforeEnd } from './thread-end.ts';
import { Vitals } from './vitals.ts';

// A broker's thread: passes while there is work, sleeps on one bell while there is none. The parent's port, which
// is referenced, keeps the thread alive while it sleeps: a pending wait on shared memory does not.
if (parentPort === null) throw new Error('broker-thread runs as a worker thread of a cluster');
const parent = parentPort;
// The thread ends by that.
process.once('uncaughtExceptionMonitor', beforeEnd);
const data = workerData as BrokerThreadData;
const background = new BackgroundClient((message) => parent.postMessage(message));
const surroundings: BrokerSurroundings = {
  clock: systemClock,
  // Not that of uuid.ts: node:crypto would come with every start of a thread.
  newUuid: () => crypto.randomUUID(),
  openDisk: (home) => (home === undefined ? new MemoryDisk() : new FileDisk(home.path, !home.isTemporary)),
};
const broker = new Broker(data, surroundings, (notice) => parent.postMessage(notice), background);
const own = data.brokers.find(({ id }) => id === data.id);
if (own === undefined) throw new Error(`broker ${data.id} is not in its own directory`);
const sleeper = new Sleeper(broker.arena.int32, own.bell / 4);
const vitals = new Vitals(broker.arena, data.vitals);
// From the event loop, so that a thread that does not get there for long is seen to hang.
setInterval(() => vitals.beat(nowMs()), HEARTBEAT_EVERY_MS).unref();
let closing = false;

const control = new BrokerControl({
  broker,
  vitals,
  background,
  reply: (reply) => parent.postMessage(reply),
  ring: () => sleeper.ring(),
  closing: () => {
    closing = true;
  },
  closed: () => parent.close(),
});
if (data.disk !== undefined) await broker.afflict(data.disk);
parent.on('message', (message) => control.take(message));

const hasWork = (): boolean => closing || vitals.isPaused || broker.hasWork();

/** A throttled broker is woken by its followers, or by the end of its patience. */
async function sleep(): Promise<void> {
  const patience = broker.isThrottled ? setTimeout(() => sleeper.ring(), THROTTLE_MAX_MS) : undefined;
  await sleeper.sleep(hasWork);
  clearTimeout(patience);
}

/** How long a busy broker keeps its event loop waiting. */
const patienceMs = (): number => (broker.isSyncing ? YIELD_SYNCING_MS : YIELD_EVERY_MS);

async function run(): Promise<void> {
  let yieldedMs = nowMs();
  while (!closing) {
    if (vitals.isPaused) vitals.hold();
    while (broker.pass() && !vitals.isPaused && nowMs() - yieldedMs < patienceMs());
    if (nowMs() - yieldedMs > patienceMs()) {
      await yieldToEventLoop();
      yieldedMs = nowMs();
    } else if (broker.catchUp.isBusy || broker.isSyncing || !sleeper.sleepSync(hasWork, HOT_WAIT_MS)) {
      await sleep();
      yieldedMs = nowMs();
    }
  }
}

await run();
