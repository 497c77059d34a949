import type { Disk, DiskFile } from '../../../src/log/disk.ts';
import { Killed, type Strand } from './strand.ts';

/** What happens at a disk while somebody uses it. */
export interface Device {
  /** Before each call: other threads may get on meanwhile, and the caller may die in it. */
  touch(strand: Strand): void;
  /** Whether it is the checkers that read: then nothing happens. */
  readonly isLooking: boolean;
  /** Lets what a sync has to do be done when the device had its time. */
  sync(strand: Strand, disk: Disk, path: string, begin: () => Promise<void>): Promise<void>;
}

/** A disk as one thread uses it: nothing of it reaches the thread once it is dead. */
export class StrandDisk implements Disk {
  readonly #disk: Disk;
  readonly #strand: Strand;
  readonly #device: Device;

  constructor(disk: Disk, strand: Strand, device: Device) {
    this.#disk = disk;
    this.#strand = strand;
    this.#device = device;
  }

  get isVolatile(): boolean {
    return this.#disk.isVolatile;
  }

  get isKept(): boolean {
    return this.#disk.isKept;
  }

  open(path: string, mode?: 'create'): DiskFile {
    const file = this.#do(() => this.#disk.open(path, mode));
    return new StrandFile(
      file,
      (act) => this.#do(act),
      () => this.#sync(file.path, () => file.sync()),
    );
  }

  list(directory: string): string[] {
    return this.#do(() => this.#disk.list(directory));
  }

  makeDirectory(path: string): void {
    this.#do(() => this.#disk.makeDirectory(path));
  }

  rename(from: string, to: string): void {
    this.#do(() => this.#disk.rename(from, to));
  }

  remove(path: string): void {
    this.#do(() => this.#disk.remove(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#sync(path, () => this.#disk.syncDirectory(path));
  }

  settleDirectory(path: string): Promise<void> {
    return this.syncDirectory(path);
  }

  locate(path: string): string {
    return this.#disk.locate(path);
  }

  #do<T>(act: () => T): T {
    if (this.#device.isLooking) return act();
    if (this.#strand.isDead) throw new Killed();
    this.#device.touch(this.#strand);
    if (this.#strand.isDead) throw new Killed();
    return act();
  }

  #sync(path: string, begin: () => Promise<void>): Promise<void> {
    if (this.#strand.isDead) return Promise.reject(new Killed());
    return this.#device.sync(this.#strand, this.#disk, path, begin);
  }
}

class StrandFile implements DiskFile {
  readonly #file: DiskFile;
  readonly #do: <T>(act: () => T) => T;
  readonly sync: () => Promise<void>;

  constructor(file: DiskFile, perform: <T>(act: () => T) => T, sync: () => Promise<void>) {
    this.#file = file;
    this.#do = perform;
    this.sync = sync;
  }

  get path(): string {
    return this.#file.path;
  }

  get size(): number {
    return this.#file.size;
  }

  write(position: number, pieces: readonly Uint8Array[]): void {
    this.#do(() => this.#file.write(position, pieces));
  }

  read(position: number, length: number): Buffer {
    return this.#do(() => this.#file.read(position, length));
  }

  truncate(size: number): void {
    this.#do(() => this.#file.truncate(size));
  }

  close(): void {
    this.#file.close();
  }
}
