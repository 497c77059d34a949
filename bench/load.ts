import { Sleeper } from '../native-free/sharedarraybuffer-utils/index.ts';
import type { Producer } from '../src/client/producer.ts';
import { BATCH_DEFAULT_BYTES } from '../src/limits.ts';
import { BatchWriter } from '../src/log/record-batch-writer.ts';
import type { RecordInput } from '../src/types.ts';
import { RECORD_BYTES, type RoundResult } from './scenario.ts';

/** Drives a producer for a time, as fast as it goes or, if it is one that keeps a pace, at that. */
export type Load = (
  producer: Producer,
  topic: string,
  durationMs: number,
  recordsPerSecond: number,
) => Promise<RoundResult>;

/** Records of 256 bytes each, no two alike in the first bytes. */
function sampleRecords(count: number): RecordInput[] {
  return Array.from({ length: count }, (_, index) => {
    const value = new Uint8Array(RECORD_BYTES);
    for (let at = 0; at < RECORD_BYTES; at++) value[at] = (index * 31 + at * 7) & 0xff;
    return { value };
  });
}

/** A finished batch of such records, of the size a producer sends by default. */
export interface TemplateBatch {
  readonly bytes: Uint8Array;
  /** Where the records' values lie in it. */
  readonly valuesAt: readonly number[];
  readonly values: readonly Uint8Array[];
}

export function templateBatch(): TemplateBatch {
  const writer = new BatchWriter(2 * BATCH_DEFAULT_BYTES);
  const values = sampleRecords(512).map(({ value }) => value as Uint8Array);
  const valuesAt: number[] = [];
  while (writer.bytes < BATCH_DEFAULT_BYTES) {
    writer.tryAppend(1_700_000_000_000, null, values[valuesAt.length % values.length]);
    // A record without headers ends with its value and one byte for their count.
    valuesAt.push(writer.bytes - 1 - RECORD_BYTES);
  }
  writer.finish();
  return { bytes: writer.bytesView().slice(), valuesAt, values };
}

/** As large as the calls of somebody who wants throughput. */
export const CALL_RECORDS = 512;

/** Calls of sendBatch, some of them at a time, each awaited. */
export async function batchLoad(producer: Producer, topic: string, durationMs: number): Promise<RoundResult> {
  const callers = 64;
  const records = sampleRecords(CALL_RECORDS);
  const latenciesMs: number[] = [];
  let acknowledged = 0;
  let failed = 0;
  const startedMs = performance.now();
  const caller = async (): Promise<void> => {
    for (;;) {
      const calledMs = performance.now();
      if (calledMs - startedMs >= durationMs) return;
      try {
        const places = await producer.sendBatch(topic, records);
        acknowledged += places.length;
      } catch {
        failed += records.length;
      }
      latenciesMs.push(performance.now() - calledMs);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { records: acknowledged, failed, elapsedMs: performance.now() - startedMs, latenciesMs };
}

/** One promise a record: each of so many callers sends one, awaits it, and sends the next. */
export function singleLoad(callers: number): Load {
  return async (producer, topic, durationMs) => {
    const sampleEvery = Math.min(64, callers);
    const records = sampleRecords(512);
    const latenciesMs: number[] = [];
    let acknowledged = 0;
    let failed = 0;
    let isOver = false;
    const startedMs = performance.now();
    const caller = async (_: unknown, index: number): Promise<void> => {
      const record = records[index % records.length];
      const isSampled = index % sampleEvery === 0;
      while (!isOver) {
        const calledMs = isSampled ? performance.now() : 0;
        try {
          await producer.send(topic, record);
          acknowledged++;
        } catch {
          failed++;
        }
        if (!isSampled) continue;
        const answeredMs = performance.now();
        latenciesMs.push(answeredMs - calledMs);
        isOver = answeredMs - startedMs >= durationMs;
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return { records: acknowledged, failed, elapsedMs: performance.now() - startedMs, latenciesMs };
  };
}

const pacer = new Sleeper(new Int32Array(new SharedArrayBuffer(4)), 0);
const TICK_MS = 0.05;
/** No answer waits longer than this for the thread that it comes to. */
const PAUSE_MAX_MS = 0.5;

/** Timers know whole milliseconds only, in which bursts would build up: this blocks for a part of one, then yields. */
function pause(ms: number): Promise<void> {
  pacer.sleepSync(() => false, Math.min(Math.max(TICK_MS, ms), PAUSE_MAX_MS));
  return new Promise((resolve) => setImmediate(resolve));
}

/** As many records as asked for, in calls of at least `callRecords` that are spread evenly over the time. */
export async function pacedLoad(
  producer: Producer,
  topic: string,
  durationMs: number,
  recordsPerSecond: number,
  callRecords = 1,
): Promise<RoundResult> {
  const records = sampleRecords(2048);
  const latenciesMs: number[] = [];
  const calls: Promise<void>[] = [];
  let due = 0;
  let acknowledged = 0;
  let failed = 0;
  const startedMs = performance.now();
  const call = async (count: number): Promise<void> => {
    const calledMs = performance.now();
    try {
      const places = await producer.sendBatch(topic, records.slice(0, count));
      acknowledged += places.length;
    } catch {
      failed += count;
    }
    latenciesMs.push(performance.now() - calledMs);
  };
  for (let elapsedMs = 0; elapsedMs < durationMs; elapsedMs = performance.now() - startedMs) {
    const target = Math.floor((elapsedMs * recordsPerSecond) / 1000);
    // What a stall of this thread has missed is made up for, in calls of bounded size: the rate stays what it is.
    const count = Math.min(target - due, records.length);
    if (count >= callRecords) {
      due += count;
      calls.push(call(count));
    }
    await pause(((callRecords - (target - due)) / recordsPerSecond) * 1000);
  }
  await Promise.all(calls);
  return { records: acknowledged, failed, elapsedMs: performance.now() - startedMs, latenciesMs };
}
