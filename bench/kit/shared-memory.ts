// What do positions, channels, rings and bells cost: in one thread per operation, and between two threads?
import { Worker } from 'node:worker_threads';
import { Bench } from 'tinybench';
import {
  ChannelReader,
  ChannelWriter,
  channelBytes,
  loadPosition,
  RingReader,
  RingWriter,
  ringBell,
  ringBytes,
  Sleeper,
  storePosition,
} from '../../native-free/sharedarraybuffer-utils/index.ts';
import { endingThreads } from '../../src/runtime/thread-end.ts';
import {
  AT,
  CAPACITY,
  OUR_BELL,
  OUR_COUNTER,
  type Part,
  THEIR_BELL,
  THEIR_COUNTER,
} from './shared-memory-worker.ts';

const TASK_MS = 120;
/** One call of a task does this many operations, so that the clock is not what is measured. */
const OPERATIONS = 1000;
const BURST = 32;
const LARGE_CAPACITY = 1 << 23;
const SIZES = [32, 1024, 65_536];
const CROSSINGS = 4_000_000;
const ROUND_TRIPS = 40_000;

/** Keeps results alive, so that no loop is optimised away. */
let sink = 0;

async function measure(tasks: Record<string, () => void>, operations: number, unit: string): Promise<void> {
  const bench = new Bench({ time: TASK_MS, warmupTime: TASK_MS / 2 });
  for (const [name, task] of Object.entries(tasks)) bench.add(name, task);
  await bench.run();
  for (const { name, result } of bench.tasks) {
    if (result.state !== 'completed') throw new Error(`${name} did not complete`);
    const nanoseconds = (result.latency.p50 * 1e6) / operations;
    console.log(`${name.padEnd(50)} ${nanoseconds.toFixed(1).padStart(8)} ns/${unit}`);
  }
}

/** Does it often; the bodies below are what one operation is. */
function often(operation: (round: number) => void): () => void {
  return () => {
    for (let round = 0; round < OPERATIONS; round += 1) operation(round);
  };
}

async function measurePositions(): Promise<void> {
  const buffer = new SharedArrayBuffer(256);
  const int32 = new Int32Array(buffer);
  const bigint64 = new BigInt64Array(buffer);
  const base = 5 * 2 ** 32;
  const tasks = {
    'position: store': often((round) => storePosition(int32, 0, base + round)),
    'position: store, high bits change': often((round) => storePosition(int32, 0, (round & 1) * base)),
    'position: load': often(() => {
      sink += loadPosition(int32, 0);
    }),
    'the same with BigInt64Array: store': often((round) => {
      Atomics.store(bigint64, 8, BigInt(base + round));
    }),
    'the same with BigInt64Array: load': often(() => {
      sink += Number(Atomics.load(bigint64, 8));
    }),
    'one word: Atomics.store (fence of a ring reader)': often((round) => {
      Atomics.store(int32, 32, round);
    }),
    'one word: Atomics.load (fence of a ring writer)': often(() => {
      sink += Atomics.load(int32, 32);
    }),
    'one word: Atomics.exchange': often((round) => {
      sink += Atomics.exchange(int32, 32, round);
    }),
    'bell: ring somebody awake': often(() => {
      if (ringBell(int32, 48)) sink += 1;
    }),
  };
  await measure(tasks, OPERATIONS, 'operation');
}

/** Writes and reads bursts of messages; copies a payload into each if it is given one. */
function channelTask(size: number, payload: Uint8Array | undefined): () => void {
  const buffer = new SharedArrayBuffer(channelBytes(LARGE_CAPACITY));
  const bytes = new Uint8Array(buffer);
  const writer = new ChannelWriter(buffer, 0, LARGE_CAPACITY);
  const reader = new ChannelReader(buffer, 0, LARGE_CAPACITY);
  return () => {
    for (let count = 0; count < BURST; count += 1) {
      const offset = writer.reserve(size, count);
      if (payload !== undefined) bytes.set(payload, offset);
      writer.commit();
    }
    writer.publish();
    while (reader.next()) sink += bytes[reader.offset] as number;
    reader.release();
  };
}

function ringTask(size: number, payload: Uint8Array | undefined): () => void {
  const buffer = new SharedArrayBuffer(ringBytes(LARGE_CAPACITY));
  const bytes = new Uint8Array(buffer);
  const writer = new RingWriter(buffer, 0, LARGE_CAPACITY);
  const reader = new RingReader(buffer, 0, LARGE_CAPACITY);
  return () => {
    for (let count = 0; count < BURST; count += 1) {
      const offset = writer.reserve(size, count);
      if (payload !== undefined) bytes.set(payload, offset);
      writer.commit();
    }
    writer.publish();
    while (reader.next()) {
      sink += bytes[reader.offset] as number;
      if (!reader.intact()) throw new Error('lapped');
    }
  };
}

async function measureQueues(): Promise<void> {
  const tasks: Record<string, () => void> = {};
  for (const size of SIZES) {
    const payload = new Uint8Array(size).fill(7);
    tasks[`channel: ${size} bytes, frame alone`] = channelTask(size, undefined);
    tasks[`channel: ${size} bytes, payload copied in`] = channelTask(size, payload);
    tasks[`ring: ${size} bytes, frame alone`] = ringTask(size, undefined);
    tasks[`ring: ${size} bytes, payload copied in`] = ringTask(size, payload);
  }
  await measure(tasks, BURST, 'message');
}

/** Starts the other thread and waits until it says that it is about to play its part. */
async function startPart(part: Part): Promise<Worker> {
  const workerData = part;
  const worker = new Worker(new URL('./shared-memory-worker.js', import.meta.url), {
    workerData,
    execArgv: [],
  });
  await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  return worker;
}

async function measureCrossing(plays: 'channel' | 'ring', size: number): Promise<void> {
  const buffer = new SharedArrayBuffer(AT + channelBytes(CAPACITY) + ringBytes(CAPACITY));
  const int32 = new Int32Array(buffer);
  const reader =
    plays === 'channel' ? new ChannelReader(buffer, AT, CAPACITY) : new RingReader(buffer, AT, CAPACITY);
  const sleeper = new Sleeper(int32, OUR_BELL);
  const hasWork = (): boolean => reader.hasWork();
  const worker = await startPart({ buffer, plays, rounds: CROSSINGS, size });
  const startedMs = performance.now();
  let received = 0;
  while (received < CROSSINGS) {
    sleeper.sleepSync(hasWork);
    let turn = 0;
    for (; turn < 512 && reader.next(); turn += 1) {
      sink += int32[reader.offset / 4] as number;
      if (reader instanceof RingReader && !reader.intact()) throw new Error('lapped');
    }
    received += turn;
    if (reader instanceof ChannelReader) reader.release();
    else storePosition(int32, THEIR_COUNTER, reader.position);
    ringBell(int32, THEIR_BELL);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const millions = (CROSSINGS / seconds / 1e6).toFixed(2);
  console.log(
    `${`${plays} between two threads, ${size} bytes`.padEnd(50)} ${millions.padStart(8)} million messages/s`,
  );
  await endingThreads(() => worker.terminate());
}

async function measureBells(plays: 'bell sync' | 'bell async'): Promise<void> {
  const buffer = new SharedArrayBuffer(AT);
  const int32 = new Int32Array(buffer);
  const sleeper = new Sleeper(int32, OUR_BELL);
  const worker = await startPart({ buffer, plays, rounds: ROUND_TRIPS, size: 0 });
  const microseconds = new Float64Array(ROUND_TRIPS);
  let round = 1;
  const answered = (): boolean => Atomics.load(int32, OUR_COUNTER) === round;
  for (; round <= ROUND_TRIPS; round += 1) {
    const startedMs = performance.now();
    Atomics.store(int32, THEIR_COUNTER, round);
    ringBell(int32, THEIR_BELL);
    if (plays === 'bell sync') sleeper.sleepSync(answered);
    else await sleeper.sleep(answered);
    microseconds[round - 1] = (performance.now() - startedMs) * 1000;
  }
  microseconds.sort();
  const [median, high] = [0.5, 0.99].map((share) => microseconds[Math.floor(ROUND_TRIPS * share)] as number);
  const name = `${plays}: round trip between two threads`;
  console.log(
    `${name.padEnd(50)} ${median?.toFixed(1).padStart(8)} us p50 ${high?.toFixed(1).padStart(8)} us p99`,
  );
  await endingThreads(() => worker.terminate());
}

export async function run(): Promise<void> {
  await measurePositions();
  await measureQueues();
  for (const size of [32, 1024]) {
    await measureCrossing('channel', size);
    await measureCrossing('ring', size);
  }
  await measureBells('bell sync');
  await measureBells('bell async');
  if (Number.isNaN(sink)) throw new Error('the sums went wrong');
}
