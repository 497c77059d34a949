// time limit: 90 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ChannelReader,
  channelBytes,
  ringBell,
  Sleeper,
} from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { endWorkers, isWhole, messageLength, Random, startWorker } from './messages.ts';

const CAPACITY = 1 << 18;
const MESSAGES = 10_000_000;
const READER_BELL = 0;
const WRITER_BELL = 32;
const AT = 256;

test('ten million messages of random lengths cross a channel in order and whole', async () => {
  const buffer = new SharedArrayBuffer(AT + channelBytes(CAPACITY));
  const int32 = new Int32Array(buffer);
  const exited = startWorker('./channel-writer-worker.js', {
    buffer,
    byteOffset: AT,
    capacity: CAPACITY,
    messages: MESSAGES,
  }).exited;
  const reader = new ChannelReader(buffer, AT, CAPACITY);
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
        isWhole(int32, reader.offset, reader.length, sequence);
      if (!sound)
        assert.unreachable(`message ${sequence} arrived as ${reader.kind} of ${reader.length} bytes`);
      sequence += 1;
      turn += 1;
    }
    reader.release();
    ringBell(int32, WRITER_BELL);
  }
  assert.is(reader.next(), false);
  assert.is(await exited, 0);
});

test.after.each(endWorkers);

test.run();
