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
import { endingThreads } from '../../../src/runtime/thread-end.ts';
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

/** Within a life sequence numbers count up by one; a death may swallow some before the next life begins. */
function follows(sequence: number, last: number): boolean {
  return sequence === last + 1 || (sequence > last && sequence % SEQUENCES_PER_LIFE === 0);
}

/** Reads all that the doomed writers write, and fails the test at the first thing that is wrong. */
class Listener {
  fromChannel = 0;
  fromRing = 0;
  laps = 0;
  readonly #int32: Int32Array;
  readonly #channel: ChannelReader;
  readonly #ring: RingReader;
  #channelLast = -1;
  #ringLast = -1;
  #afterLap = false;

  constructor(buffer: SharedArrayBuffer) {
    this.#int32 = new Int32Array(buffer);
    this.#channel = new ChannelReader(buffer, CHANNEL_AT, CAPACITY);
    this.#ring = new RingReader(buffer, RING_AT, CAPACITY);
  }

  hasWork(): boolean {
    return this.#channel.hasWork() || this.#ring.hasWork();
  }

  listen(): void {
    this.#drainChannel();
    this.#drainRing();
    const position = loadPosition(this.#int32, 0);
    if (position !== 0 && !isConsistent(position)) assert.unreachable(`a mixture of positions: ${position}`);
  }

  #drainChannel(): void {
    const channel = this.#channel;
    for (let turn = 0; turn < 256 && channel.next(); turn += 1) {
      const { offset, length, kind } = channel;
      if (!isWhole(this.#int32, offset, length, kind)) assert.unreachable(`torn: ${kind} in the channel`);
      if (!follows(kind, this.#channelLast))
        assert.unreachable(`${kind} after ${this.#channelLast} in the channel`);
      this.#channelLast = kind;
      this.fromChannel += 1;
    }
    channel.release();
  }

  #drainRing(): void {
    const ring = this.#ring;
    for (let turn = 0; turn < 256 && ring.next(); turn += 1) {
      const { offset, length, kind } = ring;
      const whole = isWhole(this.#int32, offset, length, kind);
      if (!ring.intact()) break;
      if (!whole) assert.unreachable(`torn: ${kind} in the ring`);
      // After a lap the next message is any later one.
      const inOrder = this.#afterLap ? kind > this.#ringLast : follows(kind, this.#ringLast);
      if (!inOrder) assert.unreachable(`${kind} after ${this.#ringLast} in the ring`);
      this.#ringLast = kind;
      this.#afterLap = false;
      this.fromRing += 1;
    }
    if (!ring.lapped) return;
    this.laps += 1;
    this.#afterLap = true;
    ring.seekToEnd();
  }
}

function startLife(buffer: SharedArrayBuffer, life: number): Companion {
  return startWorker('./doomed-writer-worker.js', {
    buffer,
    channelOffset: CHANNEL_AT,
    ringOffset: RING_AT,
    capacity: CAPACITY,
    life,
    first: life * SEQUENCES_PER_LIFE,
  });
}

test('writers terminated at 500 random moments leave whole messages in order, and successors go on', async () => {
  const buffer = new SharedArrayBuffer(RING_AT + ringBytes(CAPACITY));
  const int32 = new Int32Array(buffer);
  const listener = new Listener(buffer);
  const random = new Random(42);
  // The next one loads its modules while this one lives, and touches nothing before it is called.
  let next = startLife(buffer, 0);
  for (let life = 0; life < LIVES; life += 1) {
    const { worker, exited } = next;
    Atomics.store(int32, CALLED, life + 1);
    Atomics.notify(int32, CALLED);
    if (life + 1 < LIVES) next = startLife(buffer, life + 1);
    while (Atomics.load(int32, ANSWERED) !== life + 1) await pause(1);
    const untilMs = performance.now() + (random.below(1000) / 1000) * LIFE_MS;
    while (performance.now() < untilMs) listener.listen();
    let ended = false;
    void endingThreads(() => worker.terminate());
    void exited.then(() => {
      ended = true;
    });
    while (!ended) {
      listener.listen();
      await pause(1);
    }
    while (listener.hasWork()) listener.listen();
  }
  const { fromChannel, fromRing, laps } = listener;
  assert.ok(fromChannel > LIVES * 20, `received ${fromChannel} through the channel`);
  assert.ok(fromRing > LIVES * 20, `received ${fromRing} through the ring, lapped ${laps} times`);
});

test.after.each(endWorkers);

test.run();
