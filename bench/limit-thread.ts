import { parentPort, workerData } from 'node:worker_threads';
import {
  ChannelReader,
  ChannelWriter,
  loadPosition,
  RingReader,
  RingWriter,
  ringBell,
  Sleeper,
  storePosition,
} from '../native-free/sharedarraybuffer-utils/index.ts';
import { copyBytes } from '../src/log/copy.ts';
import { CRC_FROM, readCrc, writeCrc } from '../src/log/record-batch.ts';
import { ArenaView, kernelsOver } from '../src/runtime/arena.ts';
import { LIMIT_CHANNEL_BYTES, LIMIT_RING_BYTES, type LimitThreadData } from './limit.ts';

const { memory, module, workspace, role, index, addresses, template, isWhole } =
  workerData as LimitThreadData;
const arena = new ArenaView(memory);
const kernels = kernelsOver(arena, workspace, module);
const { buffer, bytes, int32 } = arena;
const { valuesAt, values } = template;
const batch = Buffer.from(template.bytes);
const { length } = batch;

/** Batches a follower may be behind the leader: half a ring, so that nobody is ever lapped. */
const BEHIND_MAX = Math.floor(LIMIT_RING_BYTES / 2 / length);

function ring(bell: number): void {
  ringBell(int32, bell / 4);
}

function taken(replica: number): number {
  return loadPosition(int32, addresses.taken[replica] / 4);
}

function publishTaken(count: number): void {
  storePosition(int32, addresses.taken[index] / 4, count);
}

function slowest(): number {
  let least = taken(0);
  for (let replica = 1; replica < addresses.taken.length; replica++) least = Math.min(least, taken(replica));
  return least;
}

function check(at: number): void {
  if (kernels.crc32c(at + CRC_FROM, length - CRC_FROM) !== readCrc(bytes, at))
    throw new Error('a batch was damaged');
}

/** The values lie in arrays of their own, as those of a caller do. */
function gather(): void {
  for (let record = 0; record < valuesAt.length; record++) {
    batch.set(values[record % values.length], valuesAt[record]);
  }
}

function produce(): void {
  const channel = new ChannelWriter(buffer, addresses.channel, LIMIT_CHANNEL_BYTES);
  const [own, leader] = addresses.bells;
  const sleeper = new Sleeper(int32, own / 4);
  let sent = 0;
  parentPort?.on('message', ({ durationMs }: { durationMs: number }) => {
    const first = sent;
    const startedMs = performance.now();
    while (performance.now() - startedMs < durationMs) {
      sleeper.sleepSync(() => channel.hasRoom(length));
      const at = channel.reserve(length);
      if (!isWhole) gather();
      copyBytes(bytes, at, batch);
      writeCrc(bytes, at, kernels.crc32c(at + CRC_FROM, length - CRC_FROM));
      channel.commit();
      channel.publish();
      sent++;
      ring(leader);
    }
    sleeper.sleepSync(() => slowest() === sent);
    parentPort?.postMessage({ batches: sent - first, elapsedMs: performance.now() - startedMs });
  });
}

function lead(): void {
  const channel = new ChannelReader(buffer, addresses.channel, LIMIT_CHANNEL_BYTES);
  const tail = new RingWriter(buffer, addresses.rings[0], LIMIT_RING_BYTES);
  const [producer, own, ...followers] = addresses.bells;
  const sleeper = new Sleeper(int32, own / 4);
  const followersKeepUp = (): boolean => {
    for (let replica = 1; replica < addresses.taken.length; replica++) {
      if (taken(replica) < count - BEHIND_MAX) return false;
    }
    return true;
  };
  let count = 0;
  for (;;) {
    sleeper.sleepSync(() => channel.hasWork() && followersKeepUp());
    if (!channel.next()) continue;
    check(channel.offset);
    const at = tail.reserve(length);
    bytes.copyWithin(at, channel.offset, channel.offset + length);
    tail.commit();
    tail.publish();
    for (const follower of followers) ring(follower);
    channel.release();
    publishTaken(++count);
    ring(producer);
  }
}

function follow(): void {
  const tail = new RingReader(buffer, addresses.rings[0], LIMIT_RING_BYTES, 0);
  const copy = new RingWriter(buffer, addresses.rings[index], LIMIT_RING_BYTES);
  const [producer, leader] = addresses.bells;
  const sleeper = new Sleeper(int32, addresses.bells[index + 1] / 4);
  let count = 0;
  for (;;) {
    sleeper.sleepSync(() => tail.hasWork());
    while (tail.next()) {
      check(tail.offset);
      const at = copy.reserve(length);
      bytes.copyWithin(at, tail.offset, tail.offset + length);
      copy.commit();
      if (!tail.intact()) throw new Error('a follower was lapped');
      copy.publish();
      publishTaken(++count);
    }
    ring(leader);
    ring(producer);
  }
}

parentPort?.postMessage('ready');
if (role === 'producer') produce();
else if (role === 'leader') lead();
else follow();
