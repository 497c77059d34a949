// time limit: 90 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  POSITION_BYTES,
  RingReader,
  ringBell,
  ringBytes,
  Sleeper,
  storePosition,
} from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { endWorkers, isWhole, messageLength, Random, startWorker } from './messages.ts';

// Words: 0 the reader's bell, 32 the writer's bell, 64 the reader's position, 96 a stop flag; then the ring.
const READER_BELL = 0;
const WRITER_BELL = 32;
const READER_POSITION = 64;
const STOP = 96;
const AT = 512;
const MESSAGES = 10_000_000;

test('ten million messages of random lengths pass a ring in order and whole', async () => {
  const capacity = 1 << 18;
  assert.ok(READER_POSITION * 4 + POSITION_BYTES <= STOP * 4);
  const buffer = new SharedArrayBuffer(AT + ringBytes(capacity));
  const int32 = new Int32Array(buffer);
  const reader = new RingReader(buffer, AT, capacity);
  const exited = startWorker('./ring-writer-worker.js', {
    buffer,
    byteOffset: AT,
    capacity,
    messages: MESSAGES,
    waits: true,
  }).exited;
  const sleeper = new Sleeper(int32, READER_BELL);
  const hasWork = (): boolean => reader.hasWork();
  const random = new Random(11);
  let sequence = 0;
  while (sequence < MESSAGES) {
    if (!sleeper.sleepSync(hasWork, 20_000)) assert.unreachable(`nothing more after ${sequence} messages`);
    let turn = 0;
    while (turn < 512 && reader.next()) {
      const sound =
        reader.kind === sequence &&
        reader.length === messageLength(random) &&
        isWhole(int32, reader.offset, reader.length, sequence) &&
        reader.intact();
      if (!sound)
        assert.unreachable(`message ${sequence} arrived as ${reader.kind} of ${reader.length} bytes`);
      sequence += 1;
      turn += 1;
    }
    if (reader.lapped) assert.unreachable(`lapped after ${sequence} messages by a writer that waits`);
    storePosition(int32, READER_POSITION, reader.position);
    ringBell(int32, WRITER_BELL);
  }
  assert.is(reader.next(), false);
  assert.is(await exited, 0);
});

test('a reader too slow for its writer is lapped, recovers, and never accepts torn bytes', async () => {
  const capacity = 1 << 14;
  const buffer = new SharedArrayBuffer(AT + ringBytes(capacity));
  const int32 = new Int32Array(buffer);
  const reader = new RingReader(buffer, AT, capacity);
  const exited = startWorker('./ring-writer-worker.js', {
    buffer,
    byteOffset: AT,
    capacity,
    messages: 2 ** 31,
    waits: false,
  }).exited;
  const random = new Random(5);
  let accepted = 0;
  let tornAndRefused = 0;
  let laps = 0;
  let last = -1;
  // On a busy machine the two threads may take long turns instead of running side by side.
  const startedMs = performance.now();
  const enough = (): boolean =>
    performance.now() - startedMs > (accepted < 50_000 || tornAndRefused < 200 ? 10_000 : 3000);
  while (!enough()) {
    for (let turn = 0; turn < 200 && reader.next(); turn += 1) {
      const { offset, length, kind } = reader;
      // A moment for the writer to come round.
      for (let spin = random.below(300); spin > 0; spin -= 1) Atomics.load(int32, STOP);
      const whole = isWhole(int32, offset, length, kind);
      if (!reader.intact()) {
        if (!whole) tornAndRefused += 1;
        break;
      }
      if (!whole || kind <= last) assert.unreachable(`accepted ${kind} after ${last}, whole: ${whole}`);
      last = kind;
      accepted += 1;
    }
    if (reader.lapped) {
      laps += 1;
      reader.seekToEnd();
    }
  }
  Atomics.store(int32, STOP, 1);
  assert.is(await exited, 0);
  assert.ok(accepted > 1000, `accepted ${accepted}`);
  assert.ok(laps > 100, `lapped ${laps} times`);
  assert.ok(tornAndRefused > 10, `met ${tornAndRefused} torn messages`);
});

test.after.each(endWorkers);

test.run();
