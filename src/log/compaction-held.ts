import type { SealedSegment } from './compaction.ts';
import type { CleanedGroup, SwapOwner } from './compaction-swap.ts';
import type { OpenFiles } from './open-files.ts';
import { Segment } from './segment.ts';
import type { SegmentLog } from './segment-log.ts';

/**
 * The segments that a compaction reads, as they were when it began, and the log that they belong to. Until release()
 * their files serve no other segment; retention, truncation and the rest go on, and then they no longer stand.
 */
export class HeldSegments implements SwapOwner {
  readonly #files: OpenFiles;
  readonly #log: SegmentLog;
  /** What each of them held. */
  readonly #bytes = new Map<Segment, number>();

  constructor(files: OpenFiles, log: SegmentLog, segments: readonly SealedSegment[]) {
    this.#files = files;
    this.#log = log;
    const bases = new Set(segments.map(({ baseOffset }) => baseOffset));
    for (const segment of log.sealed) {
      if (!bases.has(segment.baseOffset)) continue;
      segment.holders += 1;
      this.#bytes.set(segment, segment.bytes);
    }
  }

  release(): void {
    for (const segment of this.#bytes.keys()) segment.holders -= 1;
  }

  /** Whether the log still has all of them. */
  get isWhole(): boolean {
    const present = new Set(this.#log.sealed);
    for (const segment of this.#bytes.keys())
      if (!present.has(segment) || !this.#isUnchanged(segment)) return false;
    return true;
  }

  stands(group: CleanedGroup): boolean {
    const segments = this.#segmentsOf(group);
    return (
      segments.length === group.replaced.length &&
      segments.every(
        (segment, index) => segment.baseOffset === group.replaced[index] && this.#isUnchanged(segment),
      )
    );
  }

  swapped(group: CleanedGroup): void {
    const replaced = this.#segmentsOf(group);
    for (const segment of replaced) segment.release();
    const { directory, config } = this.#log;
    const cleaned = new Segment(this.#files, directory, group.baseOffset, config);
    // Its indexes were written and synced with it.
    cleaned.adopt(group.bytes, true, group.nextOffset);
    this.#log.replace(replaced, cleaned);
  }

  #segmentsOf({ baseOffset: from, nextOffset }: CleanedGroup): Segment[] {
    return this.#log.sealed.filter(({ baseOffset }) => baseOffset >= from && baseOffset < nextOffset);
  }

  #isUnchanged(segment: Segment): boolean {
    return this.#bytes.get(segment) === segment.bytes && segment.damage === undefined;
  }
}
