// A file of the faulty disk: what the page cache holds of it, what the device holds, and what may happen in between.
import { Buffer } from 'node:buffer';
import type { Random } from './seeded-random.ts';

export const PAGE_BYTES = 4096;
const SECTOR_BYTES = 512;
const SECTORS = PAGE_BYTES / SECTOR_BYTES;

/** What a power cut does to what was not synced: a seed chooses among all three, because mixtures alone hide the ends. */
export type Loss = 'kept' | 'lost' | 'mixed';

/** What a sync that has begun will make durable. */
export interface Capture {
  readonly pages: ReadonlyMap<number, { readonly bytes: Buffer; readonly stamp: number }>;
  readonly size: number;
  readonly stamp: number;
}

export class Inode {
  /** The page cache's bytes. Beyond the size they are zeros. */
  #data = Buffer.alloc(0);
  #size = 0;
  /** The device's pages, each with the stamp of its write; one that is missing holds zeros. */
  #durable = new Map<number, { bytes: Buffer; stamp: number }>();
  #durableSize = { size: 0, stamp: 0 };
  /** Pages that were changed since they were last written to the device, and when. */
  #dirty = new Map<number, number>();
  /** The sizes that the file has had since the durable one, in order. */
  #sizes: { size: number; stamp: number }[] = [];
  #stamp = 0;

  get size(): number {
    return this.#size;
  }

  get bytes(): Buffer {
    return this.#data.subarray(0, this.#size);
  }

  write(position: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    this.#reach(end);
    this.#data.set(bytes, position);
    this.#touch(Math.min(position, this.#size), end);
    if (end > this.#size) this.#resize(end);
  }

  truncate(size: number): void {
    if (size === this.#size) return;
    this.#reach(size);
    this.#data.fill(0, size);
    this.#touch(Math.min(size, this.#size), Math.max(size, this.#size));
    this.#resize(size);
  }

  capture(): Capture {
    const pages = new Map<number, { bytes: Buffer; stamp: number }>();
    for (const [page, stamp] of this.#dirty) pages.set(page, { bytes: this.#page(page), stamp });
    return { pages, size: this.#size, stamp: this.#stamp };
  }

  /** The device has taken all of it. */
  settle({ pages, size, stamp }: Capture): void {
    for (const [page, taken] of pages) this.#settlePage(page, taken.bytes, taken.stamp);
    if (stamp >= this.#durableSize.stamp) this.#durableSize = { size, stamp };
    this.#sizes = this.#sizes.filter((later) => later.stamp > stamp);
  }

  /**
   * The device has refused. As with Linux, the pages count as clean from then on, though only some of them were written:
   * a second sync has nothing left to do, succeeds, and has saved nothing.
   */
  settleInPart({ pages }: Capture, random: Random): void {
    for (const [page, { bytes, stamp }] of pages) {
      if (random(2) === 0) this.#settlePage(page, bytes, stamp);
      else if (this.#dirty.get(page) === stamp) this.#dirty.delete(page);
    }
  }

  /** Without being asked, the system has written some pages, and maybe a size that the file had. */
  writeBack(random: Random): void {
    for (const [page, stamp] of [...this.#dirty])
      if (random(2) === 0) this.#settlePage(page, this.#page(page), stamp);
    const settled = random(this.#sizes.length + 1);
    if (settled > 0) this.#durableSize = this.#sizes[settled - 1];
    this.#sizes.splice(0, settled);
  }

  /** The file as it may be after a power cut. */
  crashed(loss: Loss, random: Random): Inode {
    const size = this.#crashedSize(loss, random);
    const after = new Inode();
    after.#reach(size);
    for (let page = 0; page * PAGE_BYTES < size; page++)
      this.#crashedPage(page, loss, random).copy(after.#data, page * PAGE_BYTES);
    after.#data.fill(0, size);
    after.#size = size;
    after.#settleAll();
    return after;
  }

  clone(): Inode {
    const copy = new Inode();
    copy.#data = Buffer.from(this.#data);
    copy.#size = this.#size;
    // The device's pages are never changed in place, so both may hold them.
    copy.#durable = new Map(this.#durable);
    copy.#durableSize = this.#durableSize;
    copy.#dirty = new Map(this.#dirty);
    copy.#sizes = [...this.#sizes];
    copy.#stamp = this.#stamp;
    return copy;
  }

  /** On the device and in the cache: a medium that forgets says nothing. */
  flipBit(bit: number): void {
    const at = bit >>> 3;
    if (at >= this.#size) throw new Error(`the file has no bit ${bit}`);
    const page = Math.floor(at / PAGE_BYTES);
    this.#data[at] ^= 1 << (bit & 7);
    const durable = this.#durablePage(page);
    durable[at % PAGE_BYTES] ^= 1 << (bit & 7);
    this.#durable.set(page, { bytes: durable, stamp: this.#durable.get(page)?.stamp ?? 0 });
  }

  #reach(end: number): void {
    if (end <= this.#data.length) return;
    let capacity = Math.max(PAGE_BYTES, this.#data.length);
    while (capacity < end) capacity *= 2;
    const larger = Buffer.alloc(capacity);
    this.#data.copy(larger);
    this.#data = larger;
  }

  #touch(from: number, to: number): void {
    this.#stamp += 1;
    for (let page = Math.floor(from / PAGE_BYTES); page * PAGE_BYTES < to; page++)
      this.#dirty.set(page, this.#stamp);
  }

  #resize(size: number): void {
    this.#size = size;
    this.#sizes.push({ size, stamp: this.#stamp });
  }

  #page(page: number): Buffer {
    const bytes = Buffer.alloc(PAGE_BYTES);
    this.#data.copy(bytes, 0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
    return bytes;
  }

  #durablePage(page: number): Buffer {
    const known = this.#durable.get(page);
    return known === undefined ? Buffer.alloc(PAGE_BYTES) : Buffer.from(known.bytes);
  }

  #settlePage(page: number, bytes: Buffer, stamp: number): void {
    if (stamp >= (this.#durable.get(page)?.stamp ?? 0)) this.#durable.set(page, { bytes, stamp });
    if (this.#dirty.get(page) === stamp) this.#dirty.delete(page);
  }

  #settleAll(): void {
    this.#touch(0, this.#size);
    this.settle(this.capture());
  }

  /** The durable size, or one that the file has had since; of one that had grown, maybe only whole pages. */
  #crashedSize(loss: Loss, random: Random): number {
    if (loss === 'kept') return this.#size;
    const chosen = loss === 'lost' ? 0 : random(this.#sizes.length + 1);
    if (chosen === 0) return this.#durableSize.size;
    const { size } = this.#sizes[chosen - 1];
    const before = chosen === 1 ? this.#durableSize.size : this.#sizes[chosen - 2].size;
    const pages = Math.floor(size / PAGE_BYTES) - Math.floor(before / PAGE_BYTES);
    if (pages <= 0 || random(2) === 0) return size;
    return (Math.floor(before / PAGE_BYTES) + 1 + random(pages)) * PAGE_BYTES;
  }

  #crashedPage(page: number, loss: Loss, random: Random): Buffer {
    const result = this.#durablePage(page);
    if (!this.#dirty.has(page) || loss === 'lost') return result;
    const outcome = loss === 'kept' ? 0 : random(3);
    if (outcome === 1) return result;
    const current = this.#page(page);
    // Of a page that reached the device before the file was cut, what lay behind the cut is what it was before.
    const valid = Math.max(0, Math.min(PAGE_BYTES, this.#size - page * PAGE_BYTES));
    for (let sector = 0; sector < SECTORS; sector++) {
      const end = Math.min((sector + 1) * SECTOR_BYTES, valid);
      if (outcome === 0 || random(2) === 0)
        current.copy(result, sector * SECTOR_BYTES, sector * SECTOR_BYTES, end);
    }
    return result;
  }
}
