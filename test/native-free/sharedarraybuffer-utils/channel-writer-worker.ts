import { workerData } from 'node:worker_threads';
import { ChannelWriter, ringBell, Sleeper } from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { fillMessage, messageLength, Random } from './messages.ts';

interface Orders {
  buffer: SharedArrayBuffer;
  byteOffset: number;
  capacity: number;
  messages: number;
}

const READER_BELL = 0;
const WRITER_BELL = 32;

const { buffer, byteOffset, capacity, messages } = workerData as Orders;
const int32 = new Int32Array(buffer);
const writer = new ChannelWriter(buffer, byteOffset, capacity);
const sleeper = new Sleeper(int32, WRITER_BELL);
const random = new Random(11);
let length = 0;
// Sleeping until the smallest room would do wakes the thread for a handful of messages at a time.
const hasRoom = (): boolean => writer.freeBytes >= capacity / 2;

function reserve(sequence: number): number {
  for (;;) {
    const offset = writer.reserve(length, sequence);
    if (offset !== -1) return offset;
    writer.publish();
    ringBell(int32, READER_BELL);
    sleeper.sleepSync(hasRoom);
  }
}

for (let sequence = 0; sequence < messages; sequence += 1) {
  length = messageLength(random);
  const offset = reserve(sequence);
  fillMessage(int32, offset, length, sequence);
  writer.commit();
  if ((sequence & 63) === 63 || sequence === messages - 1) {
    writer.publish();
    ringBell(int32, READER_BELL);
  }
}
