import type { Buffer } from 'node:buffer';

/**
 * Everything that logs ask of a disk. Paths are relative to a broker's directory, with '/' between names. Calls are
 * synchronous, because what they touch is the page cache; waiting for the device is sync() alone. Whatever goes wrong
 * is thrown as a DiskError. Implementations: runtime/file-disk.ts, memory-disk.ts, and a faulty one for tests.
 */
export interface Disk {
  /** A file for reading and writing. With 'create' it is made if it is missing; otherwise that is ENOENT. */
  open(path: string, mode?: 'create'): DiskFile;
  /** Names of what a directory holds, directories with a '/' behind them; ENOENT where there is none. */
  list(directory: string): string[];
  /** With those above it; one that exists already is fine. */
  makeDirectory(path: string): void;
  /** Takes the place of a file that is called `to`. Files that are open stay open. */
  rename(from: string, to: string): void;
  /** A file, or a directory with all that it holds; one that is missing is fine. */
  remove(path: string): void;
  /** Makes durable which files the directory holds: creations, renames, removals. */
  syncDirectory(path: string): Promise<void>;
}

/** An open file. One thread owns it. */
export interface DiskFile {
  readonly path: string;
  /** Bytes in the file. */
  readonly size: number;
  /** The pieces one after the other, from `position` on: all of them, or a DiskError and nobody knows how many. */
  write(position: number, pieces: readonly Uint8Array[]): void;
  /** What lies there, shorter at the file's end. Valid until the next read from the same disk, or write to the file. */
  read(position: number, length: number): Buffer;
  /** Shortens the file, or lengthens it by zeros. */
  truncate(size: number): void;
  /** Makes everything durable that was written before the call. */
  sync(): Promise<void>;
  close(): void;
}

/** What a disk refused, and where. `code` is the operating system's: ENOSPC, EIO, EACCES, EMFILE, ... */
export class DiskError extends Error {
  override readonly name = 'DiskError';
  readonly code: string;
  readonly path: string;

  constructor(operation: string, path: string, code: string, cause?: unknown) {
    super(`${operation} ${path}: ${code}`, { cause });
    this.code = code;
    this.path = path;
  }
}
