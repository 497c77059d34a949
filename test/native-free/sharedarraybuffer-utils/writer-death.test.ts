// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ChannelReader,
  channelBytes,
  loadPosition,
  RingReader,
  ringBytes,
} from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { type Companion, endWorkers, isWhole, pause, Random, startWorker } from './messages.ts';
import { isConsistent } from './position-values.ts';

const LIVES = 500;
const LIFE_MS = 4;
const CHANNEL_AT = 128;
const CAPACITY = 1 << 16;
const RING_AT = CHANNEL_AT + channelBytes(CAPACITY);
/** Sequence numbers of one life begin at its number times this. */
const SEQUENCES_PER_LIFE = 2 ** 22;

/** Words: the position at 0, the life called upon, the life that answered. */
const CALLED = 8;
const ANSWERED = 9;

test('writers terminated at 500 random moments leave whole messages in order, and their successors go on', async () => {
  const buffer = new SharedArrayBuffer(RING_AT + ringBytes(CAPACITY));
  const int32 = new Int32Array(buffer);
  const channel = new ChannelReader(buffer, CHANNEL_AT, CAPACITY);
  const ring = new RingReader(buffer, RING_AT, CAPACITY);
  const random = new Random(42);
  const received = { channel: 0, ring: 0, laps: 0 };
  let channelLast = -1;
  let ringLast = -1;
  let afterLap = false;

  const follows = (sequence: number, last: number): boolean =>
    sequence === last + 1 || (sequence > last && sequence % SEQUENCES_PER_LIFE === 0);

  const drainChannel = (): void => {
    for (let turn = 0; turn < 256 && channel.next(); turn += 1) {
      const { offset, length, kind } = channel;
      if (!isWhole(int32, offset, length, kind)) assert.unreachable(`torn message ${kind} in the channel`);
      if (!follows(kind, channelLast)) assert.unreachable(`${kind} after ${channelLast} in the channel`);
      channelLast = kind;
      received.channel += 1;
    }
    channel.release();
  };

  const drainRing = (): void => {
    for (let turn = 0; turn < 256 && ring.next(); turn += 1) {
      const { offset, length, kind } = ring;
      const whole = isWhole(int32, offset, length, kind);
      if (!ring.intact()) break;
      if (!whole) assert.unreachable(`torn message ${kind} in the ring`);
      // After a lap the next message is any later one.
      const inOrder = afterLap ? kind > ringLast : follows(kind, ringLast);
      if (!inOrder) assert.unreachable(`${kind} after ${ringLast} in the ring`);
      ringLast = kind;
      afterLap = false;
      received.ring += 1;
    }
    if (!ring.lapped) return;
    received.laps += 1;
    afterLap = true;
    ring.seekToEnd();
  };

  const drain = (): void => {
    drainChannel();
    drainRing();
    const position = loadPosition(int32, 0);
    if (position !== 0 && !isConsistent(position)) assert.unreachable(`a mixture of positions: ${position}`);
  };

  const startLife = (life: number): Companion =>
    startWorker('./doomed-writer-worker.js', {
      buffer,
      channelOffset: CHANNEL_AT,
      ringOffset: RING_AT,
      capacity: CAPACITY,
      life,
      first: life * SEQUENCES_PER_LIFE,
    });

  // The next one loads its modules while this one lives, and touches nothing before it is called.
  let next = startLife(0);
  for (let life = 0; life < LIVES; life += 1) {
    const { worker, exited } = next;
    Atomics.store(int32, CALLED, life + 1);
    Atomics.notify(int32, CALLED);
    if (life + 1 < LIVES) next = startLife(life + 1);
    while (Atomics.load(int32, ANSWERED) !== life + 1) await pause(1);
    const untilMs = performance.now() + (random.below(1000) / 1000) * LIFE_MS;
    while (performance.now() < untilMs) drain();
    let ended = false;
    void worker.terminate();
    void exited.then(() => {
      ended = true;
    });
    while (!ended) {
      drain();
      await pause(1);
    }
    while (channel.hasWork() || ring.hasWork()) drain();
  }
  assert.ok(received.channel > LIVES * 20, `received ${received.channel}`);
  assert.ok(received.ring > LIVES * 20, `received ${received.ring} and lapped ${received.laps} times`);
});

test.after.each(endWorkers);

test.run();
