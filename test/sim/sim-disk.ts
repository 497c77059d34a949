import type { Disk, DiskFile } from '../../src/log/disk.ts';
import type { Fault, FaultyDisk } from '../log/faulty-disk.ts';

/** Lets something happen once the device has had its time. */
export type Device = (path: string, finish: () => void) => void;

/** A faulty disk whose syncs end when the scheduler says so. */
export class SimDisk implements Disk {
  readonly isVolatile = false;
  readonly isKept = true;
  readonly #disk: FaultyDisk;
  readonly #device: Device;

  constructor(disk: FaultyDisk, device: Device) {
    this.#disk = disk;
    this.#device = device;
    disk.holdSyncs();
  }

  /** What is left after the end of the process, or of the power. */
  after(end: 'kill' | 'power cut'): FaultyDisk {
    return end === 'kill' ? this.#disk.kill() : this.#disk.crash();
  }

  fail(fault: Fault): void {
    this.#disk.fail(fault);
  }

  heal(): void {
    this.#disk.heal();
  }

  open(path: string, mode?: 'create'): DiskFile {
    const file = this.#disk.open(path, mode);
    return new SimFile(file, () => this.#wait(file.path, () => file.sync()));
  }

  list(directory: string): string[] {
    return this.#disk.list(directory);
  }

  makeDirectory(path: string): void {
    this.#disk.makeDirectory(path);
  }

  rename(from: string, to: string): void {
    this.#disk.rename(from, to);
  }

  remove(path: string): void {
    this.#disk.remove(path);
  }

  syncDirectory(path: string): Promise<void> {
    return this.#wait(path, () => this.#disk.syncDirectory(path));
  }

  settleDirectory(path: string): Promise<void> {
    return this.syncDirectory(path);
  }

  locate(path: string): string {
    return this.#disk.locate(path);
  }

  #wait(path: string, sync: () => Promise<void>): Promise<void> {
    const synced = sync();
    this.#device(path, () => this.#disk.releaseSyncs(1));
    return synced;
  }
}

class SimFile implements DiskFile {
  readonly #file: DiskFile;
  readonly sync: () => Promise<void>;

  constructor(file: DiskFile, sync: () => Promise<void>) {
    this.#file = file;
    this.sync = sync;
  }

  get path(): string {
    return this.#file.path;
  }

  get size(): number {
    return this.#file.size;
  }

  write(position: number, pieces: readonly Uint8Array[]): void {
    this.#file.write(position, pieces);
  }

  read(position: number, length: number): Buffer {
    return this.#file.read(position, length);
  }

  truncate(size: number): void {
    this.#file.truncate(size);
  }

  close(): void {
    this.#file.close();
  }
}
