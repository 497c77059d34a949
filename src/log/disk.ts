import type { Buffer } from 'node:buffer';

/**
 * Everything that logs ask of a disk. Paths are relative to a broker's directory, with '/' between names. Calls are
 * synchronous, because what they touch is the page cache; waiting for the device is sync() alone. Whatever goes wrong
 * is thrown as a DiskError. Implementations: runtime/file-disk.ts, memory-disk.ts, and a faulty one for tests.
 */
export interface Disk {
  /** Nothing of it outlives the thread. */
  readonly isVolatile: boolean;
  /** Whether anybody looks at it once the process has ended: only then there are power cuts to be prepared for. */
  readonly isKept: boolean;
  /** A file for reading and writing. With 'create' it is made if it is missing; otherwise that is ENOENT. */
  open(path: string, mode?: 'create'): DiskFile;
  /** What a directory holds, in ascending order, directories with a '/' behind them; ENOENT where there is none. */
  list(directory: string): string[];
  /** With those above it; one that exists already is fine. */
  makeDirectory(path: string): void;
  /** Takes the place of a file that is called `to`. Files that are open stay open. */
  rename(from: string, to: string): void;
  /** A file, or a directory with all that it holds; one that is missing is fine. */
  remove(path: string): void;
  /** Makes durable which files the directory holds: creations, renames, removals. */
  syncDirectory(path: string): Promise<void>;
  /** The same in a while, together with what else changes there by then: nobody waits for it. */
  settleDirectory(path: string): Promise<void>;
  /** Where people find it: what sentences name. */
  locate(path: string): string;
}

/**
 * An open file. One thread owns it. Two that were opened of the same path are the same file. A use after close() is a
 * programmer's error, and so is a path that leaves the disk's directory: neither is a DiskError.
 */
export interface DiskFile {
  /** Follows renames of the file and of the directories above it. */
  readonly path: string;
  /** Bytes in the file. */
  readonly size: number;
  /** The pieces one after the other, from `position` on: all of them, or a DiskError and nobody knows how many. */
  write(position: number, pieces: readonly Uint8Array[]): void;
  /**
   * What lies there, shorter at the file's end. Valid until the next read from the same disk, and until the file is
   * written, truncated, or gone: removed, or another one renamed over it.
   */
  read(position: number, length: number): Buffer;
  /** How long it will probably be, for a disk that can do something with that. Nothing fails for it. */
  expect?(bytes: number): void;
  /** Shortens the file, or lengthens it by zeros. */
  truncate(size: number): void;
  /**
   * Makes everything durable that was written to the file before the call, whoever wrote it. After a failure nobody
   * knows what of that is on the device, and a second try that succeeds does not change it: the system may have dropped
   * what it could not write.
   */
  sync(): Promise<void>;
  /** A sync that is under way still ends. Closing once more does nothing. */
  close(): void;
}

/** Holds the callers of a disk to paths inside of its directory; '' is the directory itself. */
export function requireInside(path: string): void {
  if (path === '') return;
  for (const name of path.split('/')) {
    if (name === '' || name === '.' || name === '..' || name.includes('\\') || name.includes('\0'))
      throw new Error(`'${path}' is no path below a disk's directory`);
  }
}

/** What the operating system means by the codes that people see most, and what helps. */
const MEANINGS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'permission is missing'],
  ['EDQUOT', "the user's share of the disk is used up"],
  ['EEXIST', 'it exists already, and is something else'],
  ['EIO', 'the device failed'],
  ['EISDIR', 'it is a directory'],
  ['EMFILE', 'this process has too many files open; raise its limit, `ulimit -n`'],
  ['ENAMETOOLONG', 'the name is too long'],
  ['ENFILE', 'the machine has too many files open'],
  ['ENOENT', 'it does not exist'],
  ['ENOMEM', 'there is no memory left'],
  ['ENOSPC', 'no space is left on the device'],
  ['ENOTDIR', 'a part of the path is no directory'],
  ['EPERM', 'permission is missing'],
  ['EROFS', 'the file system is read-only'],
]);

/** What helps where a disk has refused something: the beginning of a sentence. */
export function helpFor({ code }: { readonly code: string }): string {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'Make room on the disk';
    case 'EMFILE':
    case 'ENFILE':
      return 'Raise the limit';
    case 'EACCES':
    case 'EPERM':
      return 'Give this user the permission';
    case 'EROFS':
      return 'Make the file system writable';
    default:
      return 'Check the disk';
  }
}

/** The same for a broker, in a whole sentence. */
export function remedyOf(refused: { readonly code: string }, broker: number): string {
  return `${helpFor(refused)}, then start the broker again, with \`cluster.faults.restart(${broker})\` or with the cluster.`;
}

/** What a disk refused, and where. `code` is the operating system's: ENOSPC, EIO, EACCES, EMFILE, ... */
export class DiskError extends Error {
  override readonly name = 'DiskError';
  readonly code: string;
  readonly path: string;

  constructor(operation: string, path: string, code: string, cause?: unknown) {
    const meaning = MEANINGS.get(code);
    super(`${operation} ${path}: ${code}${meaning === undefined ? '' : `, ${meaning}`}`, { cause });
    this.code = code;
    this.path = path;
  }
}
