import { Buffer } from 'node:buffer';
import { CLEANED_SUFFIX } from './compaction-swap.ts';
import { copyBytes } from './copy.ts';
import type { Disk, DiskFile } from './disk.ts';
import { INDEX_SUFFIX, LOG_SUFFIX, segmentFile, TIME_INDEX_SUFFIX } from './file-names.ts';
import { nextOffset, readMaxTimestamp } from './record-batch.ts';
import { SegmentIndex } from './segment-index.ts';

/** Batches are gathered to writes of this size. */
const STAGING_BYTES = 256 * 1024;

/** A segment that compaction writes, beside those that it will replace, with its two indexes. */
export class CleanedSegment {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #baseOffset: number;
  readonly #file: DiskFile;
  readonly #index: SegmentIndex;
  readonly #staging = Buffer.allocUnsafeSlow(STAGING_BYTES);
  #staged = 0;
  #written = 0;
  nextOffset: number;
  /** The largest timestamp of the first batch. */
  firstTimestamp = -1;

  constructor(disk: Disk, directory: string, baseOffset: number, intervalBytes: number) {
    this.#disk = disk;
    this.#directory = directory;
    this.#baseOffset = baseOffset;
    this.nextOffset = baseOffset;
    this.#index = new SegmentIndex(intervalBytes);
    this.#file = this.#create(LOG_SUFFIX);
  }

  get bytes(): number {
    return this.#written + this.#staged;
  }

  get maxTimestamp(): number {
    return this.#index.maxTimestamp;
  }

  /** Takes one whole batch. */
  append(bytes: Uint8Array, at: number, length: number): void {
    const next = nextOffset(bytes, at);
    const maxTimestamp = readMaxTimestamp(bytes, at);
    if (this.bytes === 0) this.firstTimestamp = maxTimestamp;
    this.#index.add(this.bytes, next - 1, maxTimestamp);
    this.nextOffset = next;
    if (this.#staged + length > STAGING_BYTES) this.#flush();
    const batch = bytes.subarray(at, at + length);
    if (length > STAGING_BYTES) {
      this.#file.write(this.#written, [batch]);
      this.#written += length;
    } else {
      copyBytes(this.#staging, this.#staged, batch);
      this.#staged += length;
    }
  }

  /** Writes what is left, and the indexes. Making it durable is left to whoever swaps it in. */
  finish(): void {
    this.#flush();
    this.#index.seal();
    this.#store(INDEX_SUFFIX, this.#index.encodeOffsets(this.#baseOffset));
    this.#store(TIME_INDEX_SUFFIX, this.#index.encodeTimes(this.#baseOffset));
  }

  close(): void {
    this.#file.close();
  }

  #flush(): void {
    if (this.#staged === 0) return;
    this.#file.write(this.#written, [this.#staging.subarray(0, this.#staged)]);
    this.#written += this.#staged;
    this.#staged = 0;
  }

  #store(suffix: string, bytes: Buffer): void {
    const file = this.#create(suffix);
    try {
      if (bytes.length > 0) file.write(0, [bytes]);
    } finally {
      file.close();
    }
  }

  /** Whatever an earlier attempt has left under the name is cut off. */
  #create(suffix: string): DiskFile {
    const name = `${segmentFile(this.#baseOffset, suffix)}${CLEANED_SUFFIX}`;
    const file = this.#disk.open(`${this.#directory}/${name}`, 'create');
    if (file.size > 0) file.truncate(0);
    return file;
  }
}
