// The other thread of shared-memory.ts, and what the two agree on.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import {
  ChannelWriter,
  loadPosition,
  RingWriter,
  ringBell,
  Sleeper,
} from '../../native-free/sharedarraybuffer-utils/index.ts';

/** Words of the buffer, named from the measuring thread's side; the queue begins at byte AT. */
export const OUR_BELL = 0;
export const THEIR_BELL = 32;
export const OUR_COUNTER = 64;
export const THEIR_COUNTER = 96;
export const AT = 512;
export const CAPACITY = 1 << 20;

export interface Part {
  buffer: SharedArrayBuffer;
  plays: 'channel' | 'ring' | 'bell sync' | 'bell async';
  rounds: number;
  size: number;
}

function sendThroughChannel({ buffer, rounds, size }: Part): void {
  const int32 = new Int32Array(buffer);
  const writer = new ChannelWriter(buffer, AT, CAPACITY);
  const sleeper = new Sleeper(int32, THEIR_BELL);
  const hasRoom = (): boolean => writer.freeBytes >= CAPACITY / 2;
  for (let round = 1; round <= rounds; round += 1) {
    let offset = writer.reserve(size, round);
    while (offset === -1) {
      writer.publish();
      ringBell(int32, OUR_BELL);
      sleeper.sleepSync(hasRoom);
      offset = writer.reserve(size, round);
    }
    int32[offset / 4] = round;
    writer.commit();
    if (round % 64 !== 0) continue;
    writer.publish();
    ringBell(int32, OUR_BELL);
  }
}

/** Keeps the reader from being lapped, by a position that the reader stores. */
function sendThroughRing({ buffer, rounds, size }: Part): void {
  const int32 = new Int32Array(buffer);
  const writer = new RingWriter(buffer, AT, CAPACITY);
  const sleeper = new Sleeper(int32, THEIR_BELL);
  const ahead = (): number => writer.position - loadPosition(int32, THEIR_COUNTER);
  const hasCaughtUp = (): boolean => ahead() <= CAPACITY / 4;
  for (let round = 1; round <= rounds; round += 1) {
    const offset = writer.reserve(size, round);
    int32[offset / 4] = round;
    writer.commit();
    if (round % 64 !== 0) continue;
    writer.publish();
    ringBell(int32, OUR_BELL);
    if (ahead() > CAPACITY / 2) sleeper.sleepSync(hasCaughtUp);
  }
}

async function answerBells({ buffer, plays, rounds }: Part): Promise<void> {
  const int32 = new Int32Array(buffer);
  const sleeper = new Sleeper(int32, THEIR_BELL);
  const keepAlive = setInterval(() => {}, 1000);
  let round = 1;
  const asked = (): boolean => Atomics.load(int32, THEIR_COUNTER) === round;
  for (; round <= rounds; round += 1) {
    if (plays === 'bell sync') sleeper.sleepSync(asked);
    else await sleeper.sleep(asked);
    Atomics.store(int32, OUR_COUNTER, round);
    ringBell(int32, OUR_BELL);
  }
  clearInterval(keepAlive);
}

// The measuring thread loads this module too, for the words above.
if (!isMainThread && parentPort !== null) {
  const part = workerData as Part;
  parentPort.postMessage('ready');
  if (part.plays === 'channel') sendThroughChannel(part);
  else if (part.plays === 'ring') sendThroughRing(part);
  else await answerBells(part);
}
