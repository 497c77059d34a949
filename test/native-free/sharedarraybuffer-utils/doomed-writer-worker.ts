// Writes to a channel, a ring and a position without end, until it is terminated.
import { workerData } from 'node:worker_threads';
import {
  ChannelWriter,
  RingWriter,
  storePosition,
} from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { fillMessage, messageLength, Random } from './messages.ts';
import { consistentPosition } from './position-values.ts';

interface Orders {
  buffer: SharedArrayBuffer;
  channelOffset: number;
  ringOffset: number;
  capacity: number;
  /** Which of the writers this is; it waits until this many were called before it. */
  life: number;
  first: number;
}

const { buffer, channelOffset, ringOffset, capacity, life, first } = workerData as Orders;
const int32 = new Int32Array(buffer);
const CALLED = 8;
const ANSWERED = 9;
for (let called = 0; called !== life + 1; called = Atomics.load(int32, CALLED)) {
  Atomics.wait(int32, CALLED, called);
}
const channel = new ChannelWriter(buffer, channelOffset, capacity);
const ring = new RingWriter(buffer, ringOffset, capacity);
const random = new Random(first + 1);
let channelSequence = first;
let ringSequence = first;

Atomics.store(int32, ANSWERED, life + 1);
for (;;) {
  storePosition(int32, 0, consistentPosition(random.next() & 0x1f_ffff));
  for (let count = random.below(20); count > 0; count -= 1) {
    const length = messageLength(random);
    const offset = channel.reserve(length, channelSequence);
    if (offset === -1) break;
    fillMessage(int32, offset, length, channelSequence);
    channel.commit();
    channelSequence += 1;
  }
  channel.publish();
  for (let count = random.below(20); count > 0; count -= 1) {
    const length = messageLength(random);
    fillMessage(int32, ring.reserve(length, ringSequence), length, ringSequence);
    ring.commit();
    ringSequence += 1;
  }
  ring.publish();
}
