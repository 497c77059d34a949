import type { Disk } from './disk.ts';

/** Few: what retention drops serves the next segment but one. */
const SPARES_MAX = 2;

interface Spare {
  readonly path: string;
  /** Whether the device knows the file by this name, and no longer as the segment that it was. */
  isReady: boolean;
}

/**
 * The files of segments that were dropped. Overwriting one is several times cheaper than writing to a new one. But if
 * a power cut took the renaming back and kept the overwriting, an old segment would come back with bytes that it never
 * had: so a file is given out only once its new name is on the device.
 */
export class SpareFiles {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #spares: Spare[];
  #isSyncing = false;
  #failure: unknown;

  constructor(disk: Disk, directory: string, paths: readonly string[]) {
    this.#disk = disk;
    this.#directory = directory;
    this.#spares = paths.slice(0, SPARES_MAX).map((path) => ({ path, isReady: true }));
    for (const path of paths.slice(SPARES_MAX)) disk.remove(path);
  }

  get isFull(): boolean {
    return this.#spares.length >= SPARES_MAX;
  }

  give(path: string): void {
    const { isVolatile } = this.#disk;
    this.#spares.push({ path, isReady: isVolatile });
    if (!isVolatile && !this.#isSyncing) this.#sync();
  }

  take(): string | undefined {
    const ready = this.#spares.findIndex(({ isReady }) => isReady);
    return ready === -1 ? undefined : this.#spares.splice(ready, 1)[0].path;
  }

  /** Throws what the disk said when nobody waited for it. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #sync(): Promise<void> {
    this.#isSyncing = true;
    try {
      for (;;) {
        const waiting = this.#spares.filter(({ isReady }) => !isReady);
        if (waiting.length === 0) break;
        await this.#disk.syncDirectory(this.#directory);
        for (const spare of waiting) spare.isReady = true;
      }
    } catch (error) {
      this.#failure = error;
    }
    this.#isSyncing = false;
  }
}
