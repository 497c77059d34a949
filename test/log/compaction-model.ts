import * as assert from 'uvu/assert';
import type { Disk } from '../../src/log/disk.ts';
import { BatchAttribute } from '../../src/log/record-batch.ts';
import { readLog, type StoredBatch, type StoredRecord } from './compaction-fixtures.ts';

/** Everything that was ever appended, and what compaction may have made of it by now. */
export class CompactionModel {
  readonly #records: StoredRecord[] = [];
  readonly #transactional = new Set<number>();
  /** When a run first gave a tombstone's time a beginning, by offset. */
  readonly #marked = new Map<number, number>();
  #before: StoredBatch[] = [];
  /** The furthest that any run has cleaned, ended or not. */
  #attemptedTo = 0;
  #attemptedMs = 0;
  cleanedTo = 0;
  end = 0;

  append(batch: StoredBatch): void {
    for (const record of batch.records) {
      this.#records.push(record);
      if ((batch.attributes & BatchAttribute.TRANSACTIONAL) !== 0) this.#transactional.add(record.offset);
    }
    this.#before.push(batch);
    this.end = batch.nextOffset;
  }

  /** A run begins that cleans up to `cleanedTo`. */
  begin(cleanedTo: number, nowMs: number): void {
    this.#attemptedTo = Math.max(this.#attemptedTo, cleanedTo);
    this.#attemptedMs = nowMs;
    for (const { offset, value } of this.#records) {
      if (offset < cleanedTo && value === null && !this.#marked.has(offset)) this.#marked.set(offset, nowMs);
    }
  }

  /** Whatever state a run, or a crash in the midst of it, has left: nothing is lost that may not be. */
  check(disk: Disk, retentionMs: number): void {
    const batches = readLog(disk);
    const records = batches.flatMap((batch) => batch.records);
    const byOffset = new Map(records.map((record) => [record.offset, record]));
    assert.is(batches.at(-1)?.nextOffset, this.end);
    for (const original of this.#records) {
      const found = byOffset.get(original.offset);
      if (found !== undefined) assert.equal(found, original);
      else this.#mayBeMissing(original, retentionMs);
      byOffset.delete(original.offset);
    }
    assert.is(byOffset.size, 0, 'no record is there that was not appended');
    assert.equal(latest(records), latest(this.#records));
    this.#checkBytes(batches);
    this.#before = batches;
  }

  /** After a run that came to its end: no key stands twice below what was cleaned. */
  checkCleaned(disk: Disk): void {
    const lastOffsets = new Map<string, number>();
    for (const { offset, key } of this.#records) {
      if (key !== null && offset < this.cleanedTo && !this.#transactional.has(offset))
        lastOffsets.set(key, offset);
    }
    for (const { offset, key } of readLog(disk).flatMap((batch) => batch.records)) {
      const last = key === null ? undefined : lastOffsets.get(key);
      if (last !== undefined) assert.ok(offset >= last, `${key} stands at ${offset} and at ${last}`);
    }
  }

  #mayBeMissing({ offset, key, value }: StoredRecord, retentionMs: number): void {
    assert.ok(key !== null, `the record without a key at ${offset} is missing`);
    const superseded = this.#records.some(
      (later) =>
        later.offset > offset &&
        later.offset < this.#attemptedTo &&
        later.key === key &&
        !this.#transactional.has(later.offset),
    );
    const marked = this.#marked.get(offset);
    const expired =
      value === null &&
      !this.#transactional.has(offset) &&
      marked !== undefined &&
      marked + retentionMs <= this.#attemptedMs;
    assert.ok(superseded || expired, `the last record of ${key}, at ${offset}, is missing`);
  }

  /** A batch that has all its records has its bytes too, but for the time that its tombstones were given. */
  #checkBytes(batches: readonly StoredBatch[]): void {
    const before = new Map(this.#before.map((batch) => [batch.baseOffset, batch]));
    for (const batch of batches) {
      const same = before.get(batch.baseOffset);
      if (same === undefined || same.records.length !== batch.records.length) continue;
      if (same.nextOffset === batch.nextOffset && same.attributes === batch.attributes)
        assert.equal(batch.bytes, same.bytes);
    }
  }
}

/** What somebody knows who has read the whole log. */
function latest(records: readonly StoredRecord[]): [string, string][] {
  const values = new Map<string, string>();
  for (const { key, value } of records) {
    if (key === null) continue;
    if (value === null) values.delete(key);
    else values.set(key, value);
  }
  return [...values].sort(([a], [b]) => (a < b ? -1 : 1));
}
