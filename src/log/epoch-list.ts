import type { EpochEnd } from '../types.ts';
import {
  CheckpointError,
  decodeEpochs,
  encodeEpochs,
  readWhole,
  replaceFileNow,
} from './checkpoint-files.ts';
import type { Disk } from './disk.ts';
import { EPOCHS_FILE } from './file-names.ts';

/** An epoch, and the offset of the first batch that belongs to it. */
export interface EpochStart {
  readonly epoch: number;
  readonly startOffset: number;
}

/** The epochs of a log's leaders, and where the first batch of each lies or will lie. Both ascend. */
export class EpochList {
  readonly #epochs: number[] = [];
  readonly #starts: number[] = [];

  constructor(entries: readonly EpochStart[] = []) {
    for (const { epoch, startOffset } of entries) this.begin(epoch, startOffset);
  }

  get entries(): EpochStart[] {
    return this.#epochs.map((epoch, index) => ({ epoch, startOffset: this.#starts[index] }));
  }

  /** -1 where no epoch has begun. */
  get last(): number {
    return this.#epochs.at(-1) ?? -1;
  }

  /** The batch at `offset` and those after it belong to `epoch`. Epochs that have left no batch are forgotten. */
  begin(epoch: number, offset: number): void {
    if (epoch === this.last) return;
    if (epoch < this.last) throw new Error(`epoch ${epoch} begins after epoch ${this.last}`);
    this.truncateTo(offset);
    this.#epochs.push(epoch);
    this.#starts.push(offset);
  }

  /** That of the batch at `offset`; -1 where nobody knows it any more. */
  at(offset: number): number {
    return this.#epochs[this.#starts.findLastIndex((start) => start <= offset)] ?? -1;
  }

  /** Where the newest epoch that is not above `epoch` ended, in a log of these bounds. */
  endOf(epoch: number, logStart: number, leo: number): EpochEnd {
    let index = this.#epochs.length - 1;
    while (index >= 0 && this.#epochs[index] > epoch) index--;
    const endOffset = this.#starts[index + 1] ?? leo;
    return index < 0 ? { epoch: -1, endOffset: logStart } : { epoch: this.#epochs[index], endOffset };
  }

  /** The log now ends at `leo`: epochs that have no batch below it are forgotten. True where there were any. */
  truncateTo(leo: number): boolean {
    const count = this.#epochs.length;
    while (this.#starts.length > 0 && (this.#starts.at(-1) as number) >= leo) {
      this.#starts.pop();
      this.#epochs.pop();
    }
    return this.#epochs.length < count;
  }

  /**
   * The log now begins at `logStart`: epochs that ended before it are forgotten. True where there were any; that the first
   * one left begins later now needs no new file, since what the old one says of it holds.
   */
  startAt(logStart: number): boolean {
    const count = this.#starts.length;
    while (this.#starts.length > 1 && this.#starts[1] <= logStart) {
      this.#starts.shift();
      this.#epochs.shift();
    }
    if (this.#starts.length > 0 && this.#starts[0] < logStart) this.#starts[0] = logStart;
    return this.#starts.length < count;
  }

  clear(): void {
    this.#starts.length = 0;
    this.#epochs.length = 0;
  }
}

/** A partition's epochs; none where there is no file, and undefined where it is no good: the log knows them too. */
export function readEpochs(disk: Disk, directory: string): EpochStart[] | undefined {
  const path = `${directory}/${EPOCHS_FILE}`;
  const bytes = readWhole(disk, path);
  if (bytes === undefined) return [];
  try {
    return decodeEpochs(path, bytes);
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}

/** At once, though not on the device before the log's next sync. */
export function writeEpochs(disk: Disk, directory: string, entries: readonly EpochStart[]): void {
  replaceFileNow(disk, `${directory}/${EPOCHS_FILE}`, encodeEpochs(entries));
}
