import type { Disk } from './disk.ts';
import type { EpochStart } from './epoch-list.ts';
import { writeEpochs } from './epoch-list.ts';
import { DELETED_SUFFIX, EPOCHS_FILE } from './file-names.ts';
import type { OpenFiles } from './open-files.ts';

/** Of a log that is written to so fast that many are on their way; and of one at rest. */
const SPARES_MAX = 16;
const SPARES_AT_REST = 2;

/** The directory of a log: the file of its epochs, and how far the device knows which files there are. */
export class LogDirectory {
  readonly #disk: Disk;
  readonly #path: string;
  #isUnsynced = true;
  #areEpochsUnsynced = false;
  /** It was made just now: then nothing says yet that it is to be found after a power cut. */
  #isNew: boolean;
  /** The sync under way: whoever comes meanwhile has to wait for it too. */
  #sync: Promise<void> = Promise.resolve();

  constructor(disk: Disk, path: string, isNew: boolean) {
    this.#disk = disk;
    this.#path = path;
    this.#isNew = isNew;
  }

  /** A file has come, gone, or got another name. */
  changed(): void {
    this.#isUnsynced = true;
  }

  writeEpochs(epochs: readonly EpochStart[]): void {
    writeEpochs(this.#disk, this.#path, epochs);
    this.#areEpochsUnsynced = true;
    this.#isUnsynced = true;
  }

  /** What has changed is known to the device. */
  sync(): Promise<void> {
    if (this.#isUnsynced) {
      this.#isUnsynced = false;
      this.#sync = this.#sync.then(() => this.#syncNames());
    }
    return this.#sync;
  }

  async #syncNames(): Promise<void> {
    if (this.#areEpochsUnsynced) {
      this.#areEpochsUnsynced = false;
      const file = this.#disk.open(`${this.#path}/${EPOCHS_FILE}`);
      await file.sync().finally(() => file.close());
    }
    await this.#disk.syncDirectory(this.#path);
    if (!this.#isNew) return;
    await this.#disk.syncDirectory(this.#path.slice(0, Math.max(this.#path.lastIndexOf('/'), 0)));
    this.#isNew = false;
  }
}

interface Spare {
  path: string;
  /** Whether it no longer has the name of the segment that it was, where somebody may look through the directory. */
  isNamed: boolean;
  /** Whether the device knows the file by this name, and no longer as the segment that it was. */
  isReady: boolean;
}

/**
 * The files of segments that were dropped. Overwriting one is several times cheaper than writing to a new one. But if
 * a power cut took the renaming back and kept the overwriting, an old segment would come back with bytes that it never
 * had, and nobody could tell it from damage: so a file is given out only once its new name is on the device, if anybody
 * is to find it after a power cut.
 */
export class SpareFiles {
  readonly #files: OpenFiles;
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #spares: Spare[];
  /** So many at least were there at any time since they were trimmed last. */
  #unused = 0;
  #isSettling = false;
  #failure: unknown;

  constructor(files: OpenFiles, directory: string, paths: readonly string[]) {
    this.#files = files;
    this.#disk = files.disk;
    this.#directory = directory;
    // Of those that a killed process left nobody knows whether the device has heard.
    this.#spares = paths.map((path) => ({ path, isNamed: true, isReady: !files.disk.isKept }));
    this.#unused = paths.length;
    this.trim();
    if (this.#spares.some(({ isReady }) => !isReady)) this.#settle();
  }

  /** In memory one is enough, and the rest is better off in the pool of freed buffers. */
  get isFull(): boolean {
    return this.#spares.length >= (this.#disk.isVolatile ? 1 : SPARES_MAX);
  }

  get paths(): string[] {
    return this.#spares.map(({ path }) => path);
  }

  /** A segment's file, which keeps its name until name(): one that is taken before gets its next one at once. */
  give(path: string): void {
    const isReady = !this.#disk.isKept;
    this.#spares.push({ path, isNamed: this.#disk.isVolatile, isReady });
    if (isReady) return;
    this.name();
    if (!this.#isSettling) this.#settle();
  }

  /** To be called before anything else can happen: a kill until then is one before the segments were dropped. */
  name(): void {
    for (let last = this.#spares.length - 1; last >= 0 && !this.#spares[last].isNamed; last--) {
      const spare = this.#spares[last];
      const path = `${spare.path}${DELETED_SUFFIX}`;
      this.#disk.rename(spare.path, path);
      this.#files.renamed(spare.path, path);
      spare.path = path;
      spare.isNamed = true;
    }
  }

  /** The one that was given last, of which more is still in a cache. */
  take(): string | undefined {
    const ready = this.#spares.findLastIndex(({ isReady }) => isReady);
    const taken = ready === -1 ? undefined : this.#spares.splice(ready, 1)[0].path;
    this.#unused = taken === undefined ? 0 : Math.min(this.#unused, this.#spares.length);
    return taken;
  }

  /** Removes what was of no use since the last time, beyond what a log at rest needs: a busy one would make it anew. */
  trim(): void {
    this.#drop(Math.min(this.#unused, this.#spares.length) - SPARES_AT_REST);
    this.#unused = this.#spares.length;
  }

  clear(): void {
    this.#drop(this.#spares.length);
  }

  #drop(count: number): void {
    for (let dropped = 0; dropped < count; dropped++) {
      const { path } = this.#spares.shift() as Spare;
      this.#files.forget(path);
      this.#disk.remove(path);
    }
  }

  /** Throws what the disk said when nobody waited for it. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #settle(): Promise<void> {
    this.#isSettling = true;
    try {
      for (;;) {
        const waiting = this.#spares.filter(({ isReady }) => !isReady);
        if (waiting.length === 0) break;
        await this.#disk.settleDirectory(this.#directory);
        for (const spare of waiting) spare.isReady = true;
      }
    } catch (error) {
      this.#failure = error;
    }
    this.#isSettling = false;
  }
}
