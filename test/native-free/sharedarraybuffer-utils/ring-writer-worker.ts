import { workerData } from 'node:worker_threads';
import {
  loadPosition,
  RingWriter,
  ringBell,
  Sleeper,
} from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { fillMessage, messageLength, Random } from './messages.ts';

interface Orders {
  buffer: SharedArrayBuffer;
  byteOffset: number;
  capacity: number;
  messages: number;
  /** Whether to keep the reader from being lapped. */
  waits: boolean;
}

const READER_BELL = 0;
const WRITER_BELL = 32;
const READER_POSITION = 64;
const STOP = 96;

const { buffer, byteOffset, capacity, messages, waits } = workerData as Orders;
const int32 = new Int32Array(buffer);
const writer = new RingWriter(buffer, byteOffset, capacity);
const sleeper = new Sleeper(int32, WRITER_BELL);
const random = new Random(11);
/** How far a writer that does not wait goes on before it pauses: some messages, or many laps. */
const bursts = new Random(17);
let burstEnd = 0;

function isFarAhead(): boolean {
  return writer.position - loadPosition(int32, READER_POSITION) > capacity / 2;
}

function hasCaughtUp(): boolean {
  return writer.position - loadPosition(int32, READER_POSITION) < capacity / 4;
}

for (let sequence = 0; sequence < messages; sequence += 1) {
  const length = Math.min(messageLength(random), writer.maxMessageBytes);
  const offset = writer.reserve(length, sequence);
  fillMessage(int32, offset, length, sequence);
  writer.commit();
  if ((sequence & 63) !== 63 && sequence !== messages - 1) continue;
  writer.publish();
  if (waits) {
    ringBell(int32, READER_BELL);
    if (isFarAhead()) sleeper.sleepSync(hasCaughtUp);
  } else if (sequence >= burstEnd) {
    // Pauses let a reader that shares the writer's core see something between two laps. Ends at STOP.
    if (Atomics.wait(int32, STOP, 0, 0.1) === 'not-equal') break;
    burstEnd = sequence + (64 << bursts.below(11));
  }
}
