import type { Disk } from './disk.ts';
import type { EpochStart } from './epoch-list.ts';
import { writeEpochs } from './epoch-list.ts';
import { EPOCHS_FILE } from './file-names.ts';

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
