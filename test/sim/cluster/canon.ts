import type { Replica } from '../../../src/core/replica.ts';
import { batchBytes, nextOffset, readBaseOffset, readLeaderEpoch } from '../../../src/log/record-batch.ts';
import { readRecords } from '../../../src/log/record-batch-reader.ts';

interface CanonBatch {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly bytes: Buffer;
}

const READ_BYTES = 1 << 20;

/** The batches that have been committed, as the first leader that said so had them: what every replica has to have. */
export class Canon {
  /** By partition, in the order of offsets, without a gap. */
  readonly #batches = new Map<number, CanonBatch[]>();
  readonly #ids = new Map<number, string[]>();

  /** The first offset that is not committed. */
  endOf(partition: number): number {
    return this.#batches.get(partition)?.at(-1)?.nextOffset ?? 0;
  }

  get partitions(): number[] {
    return [...this.#batches.keys()];
  }

  /** The identities of all committed records, by offset. */
  ids(partition: number): readonly string[] {
    return this.#ids.get(partition) ?? [];
  }

  /** In which reign the batch at an offset was written. */
  epochAt(partition: number, offset: number): number | undefined {
    const batches = this.#batches.get(partition) ?? [];
    const batch = batches.findLast((each) => each.baseOffset <= offset);
    return batch && readLeaderEpoch(batch.bytes, 0);
  }

  /** Takes what this leader says is committed and nobody has said before. */
  adopt(replica: Replica): void {
    const end = this.endOf(replica.id);
    if (replica.hwm <= end) return;
    const batches = this.#batches.get(replica.id) ?? [];
    const ids = this.#ids.get(replica.id) ?? [];
    this.#batches.set(replica.id, batches);
    this.#ids.set(replica.id, ids);
    forEachBatch(replica, end, replica.hwm, (bytes) => {
      batches.push({ baseOffset: readBaseOffset(bytes, 0), nextOffset: nextOffset(bytes, 0), bytes });
      for (const { offset, id } of recordsIn(bytes)) ids[offset] = id;
    });
  }

  /** Where a replica differs from it in this range; undefined where it does not. The end lies within what it has. */
  difference(replica: Replica, from: number, end: number): string | undefined {
    let found: string | undefined;
    const batches = this.#batches.get(replica.id) ?? [];
    let at = batches.findIndex((batch) => batch.nextOffset > from);
    let reached = from;
    forEachBatch(replica, from, end, (bytes) => {
      const expected = batches[at++];
      reached = nextOffset(bytes, 0);
      if (found !== undefined || expected === undefined || expected.bytes.equals(bytes)) return;
      found = `broker ${replica.brokerId} has at ${readBaseOffset(bytes, 0)} ${textOf(bytes)}, where ${textOf(expected.bytes)} is committed at ${expected.baseOffset}`;
    });
    if (found === undefined && reached < end)
      found = `broker ${replica.brokerId} has only what lies below ${reached} of the range up to ${end}`;
    return found;
  }
}

/** Copies of a replica's batches that begin in a range; where it holds anything else, not beyond that. */
export function forEachBatch(
  replica: Replica,
  from: number,
  end: number,
  visit: (bytes: Buffer) => void,
): void {
  for (let offset = Math.max(from, replica.log.logStart); offset < end; ) {
    const extent = replica.log.read(offset, READ_BYTES, end);
    if (extent === undefined) return;
    const bytes = Buffer.from(extent.bytes.subarray(extent.from, extent.to));
    for (let at = 0; at < bytes.length; at += batchBytes(bytes, at)) {
      const next = nextOffset(bytes, at);
      visit(bytes.subarray(at, at + batchBytes(bytes, at)));
      // These are no batches: what was shown of them is enough.
      if (next <= offset) return;
      offset = next;
    }
  }
}

export interface IdentifiedRecord {
  readonly offset: number;
  readonly id: string;
}

/** Values begin with the identity of their record, and a colon. */
export function recordsIn(bytes: Uint8Array, at = 0, end = bytes.length): IdentifiedRecord[] {
  const records: IdentifiedRecord[] = [];
  readRecords(bytes, at, end, (offset, _timestamp, _key, value) => {
    const text = Buffer.from(value ?? []).toString('latin1');
    records.push({ offset, id: text.slice(0, text.indexOf(':')) });
  });
  return records;
}

function textOf(bytes: Uint8Array): string {
  const ids = recordsIn(bytes).map(({ id }) => id);
  return `[${ids.join(' ')}]`;
}
