// What DumpLogSegments prints with --print-data-log.
import * as assert from 'uvu/assert';

export interface DumpedRecord {
  readonly offset: number;
  readonly timestamp: number;
  /** Null where it has none. Keys and values in these tests are plain ASCII without spaces. */
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: string;
}

export interface DumpedLog {
  readonly records: readonly DumpedRecord[];
  /** End of the last batch in its file. */
  readonly endBytes: number;
  readonly batches: number;
}

const BATCH =
  /^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) .* position: (\d+) \w+: -?\d+ size: (\d+) magic: 2 .* isvalid: (\w+)$/;
const RECORD =
  /^\| offset: (\d+) (?:CreateTime|LogAppendTime): (-?\d+) keySize: (-?\d+) valueSize: (-?\d+) sequence: -?\d+ headerKeys: \[(.*?)\](?: key: (\S*))?(?: payload: (\S*))?$/;
const FILE = /^Dumping (\S+)$/;

/** Every line has to be one that is known: whatever the tool complains of is none. */
export function parseDump(output: string): Map<string, DumpedLog> {
  const logs = new Map<string, DumpedLog & { records: DumpedRecord[]; endBytes: number; batches: number }>();
  let log: ReturnType<typeof logs.get>;
  for (const line of output.split('\n')) {
    const [, path] = FILE.exec(line) ?? [];
    if (path !== undefined) {
      log = { records: [], endBytes: 0, batches: 0 };
      logs.set(path, log);
      continue;
    }
    if (line === '' || line.startsWith('Log starting offset: ')) continue;
    const batch = BATCH.exec(line);
    const record = RECORD.exec(line);
    if (log === undefined || (batch === null && record === null)) throw new Error(`unexpected line: ${line}`);
    if (batch !== null) {
      assert.is(batch[6], 'true', line);
      assert.is(Number(batch[4]), log.endBytes, line);
      log.endBytes += Number(batch[5]);
      log.batches += 1;
    } else if (record !== null) log.records.push(recordOf(record));
  }
  return logs;
}

function recordOf(fields: RegExpExecArray): DumpedRecord {
  const [, offset, timestamp, keySize, valueSize, headers, key, value] = fields;
  return {
    offset: Number(offset),
    timestamp: Number(timestamp),
    key: Number(keySize) < 0 ? null : (key ?? ''),
    value: Number(valueSize) < 0 ? null : (value ?? ''),
    headers: headers ?? '',
  };
}

/** What it prints of indexes without options; gives the number of entries. */
export function checkIndexDump(output: string): number {
  let entries = 0;
  for (const line of output.split('\n')) {
    if (line === '' || FILE.test(line) || line.endsWith('is empty.')) continue;
    assert.match(line, /^(offset: \d+ position: \d+|timestamp: \d+ offset: \d+)$/);
    entries += 1;
  }
  return entries;
}
