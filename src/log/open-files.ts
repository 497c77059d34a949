import { type Disk, DiskError, type DiskFile } from './disk.ts';

/** However often descriptors have run out, a cache goes on with so many. */
const FEW_FILES = 16;

/** One of a ring in the order of their last uses: taking another place costs no memory, as it would in a Map. */
interface OpenFile {
  path: string;
  readonly file: DiskFile | undefined;
  before: OpenFile;
  after: OpenFile;
}

/**
 * The files that a broker's logs keep open, at most so many: the least recently used one is closed for the next. What
 * get() gives may be closed by any later call for another path, so it is used at once and never kept.
 *
 * A file may be closed while bytes that were written to it are not on the device yet. Nothing is lost by that: a sync
 * covers all that the system holds of a file, whoever wrote it, and so also by a file that was opened anew. Who wants
 * bytes to be durable asks get() for the path again and syncs that. A sync under way is not disturbed by the closing.
 */
export class OpenFiles {
  readonly disk: Disk;
  #max: number;
  readonly #files = new Map<string, OpenFile>();
  /** Behind the most recently used file, and before the least recently used one. */
  readonly #end = newRing();

  constructor(disk: Disk, max: number) {
    if (!(max >= 1)) throw new Error(`at least one file must be allowed open, not ${max}`);
    this.disk = disk;
    this.#max = max;
  }

  get size(): number {
    return this.#files.size;
  }

  /** ENOENT where the file is missing. */
  get(path: string): DiskFile {
    return this.#use(path);
  }

  /** Makes the file if it is missing. */
  create(path: string): DiskFile {
    return this.#use(path, 'create');
  }

  /** Closes the file: before it is removed, or handed to somebody else. */
  forget(path: string): void {
    if (this.#files.has(path)) this.#close(path);
  }

  /** To be called after the disk has renamed a file: it stays open, under its new name. */
  renamed(from: string, to: string): void {
    if (from === to) return;
    // What had the name before is on its way out of the disk.
    this.forget(to);
    const open = this.#files.get(from);
    if (open === undefined) return;
    this.#files.delete(from);
    this.#files.set(to, open);
    open.path = to;
  }

  closeAll(): void {
    for (const path of [...this.#files.keys()]) this.#close(path);
  }

  #use(path: string, mode?: 'create'): DiskFile {
    const latest = this.#end.before;
    if (latest.path === path && latest.file !== undefined) return latest.file;
    const known = this.#files.get(path);
    if (known?.file !== undefined) {
      unlink(known);
      this.#append(known);
      return known.file;
    }
    // Before it is opened, so that there are never more than allowed.
    if (this.#files.size >= this.#max) this.#close(this.#end.after.path);
    const file = this.#open(path, mode);
    const open = { path, file, before: this.#end, after: this.#end };
    this.#files.set(path, open);
    this.#append(open);
    return file;
  }

  #append(open: OpenFile): void {
    const end = this.#end;
    open.before = end.before;
    open.after = end;
    end.before.after = open;
    end.before = open;
  }

  /**
   * Others share the process's descriptors: where they have run out, this cache is where some can be spared. It holds half
   * as many at most from then on, so that the others do not run out again.
   */
  #open(path: string, mode: 'create' | undefined): DiskFile {
    try {
      return this.disk.open(path, mode);
    } catch (error) {
      const isOut = error instanceof DiskError && (error.code === 'EMFILE' || error.code === 'ENFILE');
      if (!isOut || this.#files.size === 0) throw error;
    }
    for (let spared = Math.ceil(this.#files.size / 2); spared > 0; spared--)
      this.#close(this.#end.after.path);
    if (this.#max > 2 * FEW_FILES) this.#max = Math.floor(this.#max / 2);
    return this.disk.open(path, mode);
  }

  #close(path: string): void {
    const open = this.#files.get(path);
    if (open === undefined) return;
    this.#files.delete(path);
    unlink(open);
    open.file?.close();
  }
}

function newRing(): OpenFile {
  const end = { path: '', file: undefined } as OpenFile;
  end.before = end;
  end.after = end;
  return end;
}

function unlink({ before, after }: OpenFile): void {
  before.after = after;
  after.before = before;
}
