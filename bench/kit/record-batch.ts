// What does a record cost the producer that encodes it, and the consumer that decodes it?
import { Bench } from 'tinybench';
import { batchBytes, checkBatch, readBaseOffset } from '../../src/log/record-batch.ts';
import { readRecords } from '../../src/log/record-batch-reader.ts';
import { BatchWriter } from '../../src/log/record-batch-writer.ts';
import type { RecordInput } from '../../src/types.ts';

const TASK_MS = 250;
const BATCH_BYTES = 65_536;
const NOW = 1_700_000_000_000;
/** One call of a header's task touches so many batches, so that the clock is not what is measured. */
const HEADERS = 1000;

const kinds: Record<string, RecordInput> = {
  'value of 256 bytes': { value: new Uint8Array(256).fill(65) },
  'the same, key of 8 bytes': { key: new Uint8Array(8).fill(66), value: new Uint8Array(256).fill(65) },
  'strings, 8 and 256 characters': { key: 'order-17', value: 'order.created '.repeat(19).slice(0, 256) },
  'the same, half of it not ASCII': { key: 'größe-17', value: 'größer als '.repeat(24).slice(0, 256) },
  'value of 256 bytes, one header': { value: new Uint8Array(256).fill(65), headers: { trace: 'abcdef' } },
};

function fill(writer: BatchWriter, { key, value, headers }: RecordInput): number {
  writer.reset();
  while (writer.tryAppend(NOW, key, value, headers));
  writer.finish();
  return writer.count;
}

/** The batch as a fetch finds it: in shared memory, at no particular place. */
function shared(writer: BatchWriter): Uint8Array {
  const bytes = new Uint8Array(new SharedArrayBuffer(writer.bytes + 3), 3);
  bytes.set(writer.bytesView());
  return bytes;
}

function report(bench: Bench, unitsOf: Map<string, number>, unit: string): void {
  for (const { name, result } of bench.tasks) {
    if (result.state !== 'completed') throw new Error(`${name} did not complete`);
    const nanoseconds = (result.latency.p50 * 1e6) / (unitsOf.get(name) as number);
    console.log(`${name.padEnd(46)} ${nanoseconds.toFixed(1).padStart(8)} ns/${unit}`);
  }
}

async function measureRecords(): Promise<void> {
  const bench = new Bench({ time: TASK_MS, warmupTime: TASK_MS / 2 });
  const records = new Map<string, number>();
  for (const [kind, record] of Object.entries(kinds)) {
    const writer = new BatchWriter(BATCH_BYTES);
    records.set(`encode ${kind}`, fill(writer, record));
    bench.add(`encode ${kind}`, () => {
      fill(writer, record);
    });
  }
  for (const [kind, record] of Object.entries(kinds)) {
    const writer = new BatchWriter(BATCH_BYTES);
    records.set(`decode ${kind}`, fill(writer, record));
    const bytes = shared(writer);
    bench.add(`decode ${kind}`, () => {
      const out: object[] = [];
      readRecords(bytes, 0, bytes.length, (offset, timestamp, key, value, headers) => {
        out.push({ topic: 'orders', partition: 0, offset, timestamp, key, value, headers });
      });
    });
  }
  await bench.run();
  report(bench, records, 'record');
}

async function measureHeaders(): Promise<void> {
  const writer = new BatchWriter(BATCH_BYTES);
  fill(writer, { value: new Uint8Array(256) });
  const bytes = shared(writer);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let sum = 0;
  const tasks: Record<string, () => void> = {
    'check a header': () => {
      sum += checkBatch(bytes, 0, bytes.length, BATCH_BYTES);
    },
    'base offset and size, by bytes': () => {
      sum += readBaseOffset(bytes, 0) + batchBytes(bytes, 0);
    },
    'base offset and size, by a DataView at hand': () => {
      sum += view.getInt32(0) * 2 ** 32 + view.getUint32(4) + view.getInt32(8);
    },
    'base offset and size, by a DataView made for it': () => {
      const made = new DataView(bytes.buffer, bytes.byteOffset);
      sum += made.getInt32(0) * 2 ** 32 + made.getUint32(4) + made.getInt32(8);
    },
  };
  const bench = new Bench({ time: TASK_MS, warmupTime: TASK_MS / 2 });
  for (const [name, task] of Object.entries(tasks)) {
    bench.add(name, () => {
      for (let count = 0; count < HEADERS; count++) task();
    });
  }
  await bench.run();
  report(bench, new Map(Object.keys(tasks).map((name) => [name, HEADERS])), 'batch');
  if (Number.isNaN(sum)) throw new Error('a field was no number');
}

export async function run(): Promise<void> {
  await measureRecords();
  await measureHeaders();
}
