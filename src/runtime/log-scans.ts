import { SCAN_HERE_MAX_BYTES } from '../limits.ts';
import { DiskError } from '../log/disk.ts';
import type { OpenFiles } from '../log/open-files.ts';
import { type ScanFile, scanHere } from '../log/open-log.ts';
import type { SegmentScan, SegmentScanOptions } from '../log/segment-scan.ts';
import type { BackgroundClient } from './background-client.ts';
import type { Clock } from './surroundings.ts';

/** Where another thread finds the files of this disk. */
interface ScanPool {
  readonly root: string;
  readonly background: BackgroundClient;
}

/** The scans of one log after an unclean end: small logs here, large ones in the pool, side by side. */
export class LogScans {
  readonly #files: OpenFiles;
  readonly #pool: ScanPool | undefined;
  readonly #clock: Clock;
  readonly #progress: (doneBytes: number, totalBytes: number) => void;
  readonly #scanHere: ScanFile;
  #totalBytes = 0;
  #doneBytes = 0;
  /** Scans here run one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    files: OpenFiles,
    pool: ScanPool | undefined,
    clock: Clock,
    progress: (doneBytes: number, totalBytes: number) => void,
  ) {
    this.#files = files;
    this.#pool = pool;
    this.#clock = clock;
    this.#progress = progress;
    this.#scanHere = scanHere(files);
  }

  /** All files of a log are asked for in one turn: how large it is, is known in the next. */
  async scan(path: string, options: SegmentScanOptions): Promise<SegmentScan> {
    const bytes = this.#files.get(path).size;
    this.#totalBytes += bytes;
    await this.#clock.turn();
    const found = await (this.#totalBytes > SCAN_HERE_MAX_BYTES
      ? this.#scanThere(path, options)
      : this.#scanInTurn(path, options));
    this.#doneBytes += bytes;
    this.#progress(this.#doneBytes, this.#totalBytes);
    return found;
  }

  async #scanThere(path: string, options: SegmentScanOptions): Promise<SegmentScan> {
    if (this.#pool === undefined) return this.#scanInTurn(path, options);
    const { background, root } = this.#pool;
    try {
      return await background.run({ kind: 'scan', root, path, options });
    } catch (error) {
      if (error instanceof DiskError) throw error;
      // The pool has failed, which says nothing about the log.
      return this.#scanInTurn(path, options);
    }
  }

  /** Ports and timers have their turn between two files. */
  #scanInTurn(path: string, options: SegmentScanOptions): Promise<SegmentScan> {
    const scan = async (): Promise<SegmentScan> => {
      await this.#clock.turn();
      return this.#scanHere(path, options);
    };
    const mine = this.#turn.then(scan, scan);
    this.#turn = mine;
    return mine;
  }
}
