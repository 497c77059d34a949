import { parentPort, workerData } from 'node:worker_threads';
import { Sleeper } from '../../native-free/sharedarraybuffer-utils/index.ts';
import {
  HEARTBEAT_EVERY_MS,
  HOT_WAIT_MS,
  THROTTLE_MAX_MS,
  YIELD_EVERY_MS,
  YIELD_SYNCING_MS,
} from '../limits.ts';
import { DamagedSegmentError } from '../log/segment.ts';
import { BackgroundClient } from './background-client.ts';
import type { TaskReply } from './background-tasks.ts';
import { Broker } from './broker.ts';
import { ClientLink } from './client-link.ts';
import { nowMs } from './clock.ts';
import type { BrokerThreadData, ControlReply, ControlRequest } from './directory.ts';
import { yieldToEventLoop } from './timers.ts';
import { Vitals } from './vitals.ts';

// A broker's thread: passes while there is work, sleeps on one bell while there is none. The parent's port, which
// is referenced, keeps the thread alive while it sleeps: a pending wait on shared memory does not.
if (parentPort === null) throw new Error('broker-thread runs as a worker thread of a cluster');
const parent = parentPort;
const data = workerData as BrokerThreadData;
const background = new BackgroundClient((message) => parent.postMessage(message));
const broker = new Broker(data, (notice) => parent.postMessage(notice), background);
const own = data.brokers.find(({ id }) => id === data.id);
if (own === undefined) throw new Error(`broker ${data.id} is not in its own directory`);
const sleeper = new Sleeper(broker.arena.int32, own.bell / 4);
const vitals = new Vitals(broker.arena, data.vitals);
// From the event loop, so that a thread that does not get there for long is seen to hang.
setInterval(() => vitals.beat(), HEARTBEAT_EVERY_MS).unref();
let closing = false;

function control(request: ControlRequest): unknown {
  switch (request.type) {
    case 'partitions':
      return broker.assign(request.partitions, request.chunks);
    case 'reform':
      return broker.reform(request.partitions);
    case 'lead':
      broker.lead(request.reigns);
      return undefined;
    case 'admit':
      return broker.admit(request.partition, request.epoch, request.follower);
    case 'welcome':
      broker.welcome(request.addresses, request.port);
      return undefined;
    case 'part':
      broker.part(request.broker);
      return undefined;
    case 'heal':
      return broker.heal(request.partition);
    case 'delete-records':
      return broker.deleteRecords(request.partition, request.offset);
    case 'remove':
      return broker.remove(request.partitions);
    case 'discard':
      return broker.discard(request.directories);
    case 'configure':
      return broker.configure(request.partitions, request.config);
    case 'attach':
      broker.attach(request.client, new ClientLink(broker, request.client, request.addresses));
      return undefined;
    case 'detach':
      broker.detach(request.client);
      return undefined;
    case 'inspect':
      return broker.inspect(request.partition, request.offset, request.maxBytes);
    case 'metadata':
      vitals.storeMetadata(request.offset);
      return undefined;
    case 'close':
      closing = true;
      return undefined;
  }
}

interface Control {
  readonly sequence: number;
  readonly request: ControlRequest;
}

async function answer({ sequence, request }: Control): Promise<void> {
  let reply: ControlReply;
  try {
    reply = { sequence, value: await control(request) };
  } catch (error) {
    const code = error instanceof DamagedSegmentError ? 'CORRUPT_MESSAGE' : undefined;
    reply = { sequence, error: (error as Error).message, code };
  }
  parent.postMessage(reply);
  // A request may have made work that no bell was rung for.
  sleeper.ring();
  if (request.type !== 'close') return;
  await broker.close();
  parent.close();
}

parent.on('message', (message: Control | TaskReply) => {
  if ('task' in message) background.settle(message);
  else void answer(message);
});

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
