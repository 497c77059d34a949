import { readFileSync } from 'node:fs';
import { crc32cByTable } from '../../native-free/crc32c/index.ts';
import { BatchAttribute, writeBaseOffset, writeLeaderEpoch } from '../../src/log/record-batch.ts';
import { type ReadOptions, readRecords } from '../../src/log/record-batch-reader.ts';
import { BatchWriter } from '../../src/log/record-batch-writer.ts';

/** A record as bytes alone, to be compared with another one. */
export interface PlainRecord {
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly (readonly [string, Uint8Array | null])[];
}

/** What the implementations were given; test/vectors/record-batch/README.md explains the fields. */
export interface GoldenCase {
  readonly name: string;
  readonly records: readonly PlainRecord[];
  readonly producer?: readonly [id: number, epoch: number, sequence: number];
  readonly transactional?: boolean;
  readonly codec?: number;
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
  readonly offsets?: readonly number[];
  readonly logAppendTime?: number;
  readonly control?: string;
  readonly empty?: boolean;
  readonly lastOffset?: number;
}

export interface GoldenBatch {
  readonly source: string;
  readonly golden: GoldenCase;
  readonly bytes: Uint8Array;
}

const vectors = new URL('../../../test/vectors/record-batch/', import.meta.url);
const sources = [
  'kafka-clients-3.9.1',
  'kafkajs-2.2.4',
  'platformatic-kafka-1.35.0',
  'kafka-python-3.0.12',
  'aiokafka-0.14.0',
];

function parse(name: string): unknown[] {
  return JSON.parse(readFileSync(new URL(`${name}.json`, vectors), 'utf8'));
}

function bytesOf(base64: string | null): Uint8Array | null {
  return base64 === null ? null : new Uint8Array(Buffer.from(base64, 'base64'));
}

type StoredRecord = {
  timestamp: number;
  key: string | null;
  value: string | null;
  headers: [string, string | null][];
};

function plainRecord({ timestamp, key, value, headers }: StoredRecord): PlainRecord {
  const pairs = headers.map(([name, data]) => [name, bytesOf(data)] as const);
  return { timestamp, key: bytesOf(key), value: bytesOf(value), headers: pairs };
}

/** Every batch that another implementation wrote, beside what it was given. */
export function goldenBatches(): GoldenBatch[] {
  const cases = new Map<string, GoldenCase>();
  for (const stored of parse('cases') as (GoldenCase & { records: StoredRecord[] })[]) {
    cases.set(stored.name, { ...stored, records: (stored.records as StoredRecord[]).map(plainRecord) });
  }
  return sources.flatMap((source) =>
    (parse(source) as { name: string; bytes: string }[]).map(({ name, bytes }) => {
      const golden = cases.get(name);
      if (golden === undefined) throw new Error(`no case is called ${name}`);
      return { source, golden, bytes: bytesOf(bytes) as Uint8Array };
    }),
  );
}

export function goldenBatch(source: string, name: string): GoldenBatch {
  const found = goldenBatches().find(
    (batch) => batch.source.startsWith(source) && batch.golden.name === name,
  );
  if (found === undefined) throw new Error(`${source} has no case ${name}`);
  return found;
}

export interface BatchOptions {
  readonly producer?: readonly [id: number, epoch: number, sequence: number];
  readonly attributes?: number;
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
  readonly capacityBytes?: number;
}

/** A whole batch with its CRC, in memory of its own. */
export function encodeBatch(
  records: readonly Partial<PlainRecord>[],
  options: BatchOptions = {},
): Uint8Array {
  const writer = new BatchWriter(options.capacityBytes ?? 1 << 20);
  for (const { timestamp = 1_700_000_000_000, key, value, headers } of records) {
    if (!writer.tryAppend(timestamp, key, value, headers)) throw new Error('the batch is full');
  }
  writer.setProducer(...(options.producer ?? ([-1, -1, -1] as const)));
  writer.setAttributes(options.attributes ?? 0);
  writer.finishWithCrc(crc32cByTable);
  const bytes = writer.bytesView().slice();
  writeBaseOffset(bytes, 0, options.baseOffset ?? 0);
  writeLeaderEpoch(bytes, 0, options.leaderEpoch ?? -1);
  return bytes;
}

export interface ReadRecord extends PlainRecord {
  readonly offset: number;
}

export function readBatch(
  bytes: Uint8Array,
  options?: ReadOptions,
  at = 0,
  end = bytes.length,
): ReadRecord[] {
  const records: ReadRecord[] = [];
  readRecords(
    bytes,
    at,
    end,
    (offset, timestamp, key, value, headers) => records.push({ offset, timestamp, key, value, headers }),
    options,
  );
  return records;
}

/** The attributes that a case asks for. */
export function attributesOf(golden: GoldenCase): number {
  return (golden.transactional ? BatchAttribute.TRANSACTIONAL : 0) + (golden.codec ?? 0);
}
