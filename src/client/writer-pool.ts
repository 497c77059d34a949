import { BatchWriter } from '../log/record-batch-writer.ts';

/**
 * Writers are used again once their batch is acknowledged, those used last first, which are in the nearest caches. As much
 * memory is kept as unacknowledged records may take: with fewer, a producer that fills many partitions' batches would make new
 * ones all the time, and the collector's work with them.
 */
export class WriterPool {
  readonly #batchBytes: number;
  readonly #bytesMax: number;
  readonly #byCapacity = new Map<number, BatchWriter[]>();
  #bytes = 0;

  constructor(batchBytes: number, bytesMax: number) {
    this.#batchBytes = batchBytes;
    this.#bytesMax = Math.max(batchBytes, bytesMax);
  }

  /** An empty writer. */
  take(capacityBytes: number): BatchWriter {
    const writer = this.#byCapacity.get(capacityBytes)?.pop();
    if (writer === undefined) return new BatchWriter(capacityBytes);
    this.#bytes -= writer.allocatedBytes;
    return writer;
  }

  giveBack(writer: BatchWriter): void {
    const bytes = writer.allocatedBytes;
    // Memory that one large record has made grow is not kept.
    if (writer.bytes > this.#batchBytes) return;
    // A topic with batches of another size may be gone, or silent.
    if (this.#bytes + bytes > this.#bytesMax) this.#keepOnly(writer.capacityBytes);
    if (this.#bytes + bytes > this.#bytesMax) return;
    writer.reset();
    const known = this.#byCapacity.get(writer.capacityBytes);
    if (known === undefined) this.#byCapacity.set(writer.capacityBytes, [writer]);
    else known.push(writer);
    this.#bytes += bytes;
  }

  #keepOnly(capacityBytes: number): void {
    for (const [other, writers] of this.#byCapacity) {
      if (other === capacityBytes) continue;
      for (const { allocatedBytes } of writers) this.#bytes -= allocatedBytes;
      this.#byCapacity.delete(other);
    }
  }
}
