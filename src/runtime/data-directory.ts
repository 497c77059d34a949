import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { votersFor } from '../core/quorum-shape.ts';
import type { Member } from '../core/raft/index.ts';
import type { Disk } from '../log/disk.ts';
import { MemoryDisk } from '../log/memory-disk.ts';
import type { Durability } from '../types.ts';
import type { BrokerHome } from './directory.ts';
import { FileDisk } from './file-disk.ts';
import { foundSeat, type OpenedSeat, openSeat } from './quorum-seats.ts';
import { newUuid } from './uuid.ts';
export class DataDirectory {
  readonly clusterId = newUuid();
  readonly isNew = true;
  readonly isKept = false;
  readonly founders: readonly Member[];
  readonly path: string | undefined;
  readonly #disks = new Map<number, Disk>();
  constructor(path: string | undefined, founders: readonly Member[]) { this.path = path; this.founders = founders; }
  get seats(): readonly number[] { return this.founders.map(({ id }) => id); }
  async openSeat(broker: number): Promise<OpenedSeat> {
    const founder = this.founders.find(({ id }) => id === broker);
    let disk = this.#disks.get(broker);
    if (disk === undefined) { disk = this.path === undefined ? new MemoryDisk() : new FileDisk(this.#mk(broker)); this.#disks.set(broker, disk); if (founder) await foundSeat(disk, founder.directoryId); }
    return openSeat(disk, { clusterId: this.clusterId, broker, isDurable: false, wasPowerLost: false });
  }
  #mk(b: number): string { const p = join(this.path as string, `broker-${b}`); mkdirSync(p, { recursive: true }); return p; }
  async setSeatAside(_broker: number): Promise<string> { return ''; }
  home(b: number): BrokerHome | undefined { return this.path === undefined ? undefined : { path: this.#mk(b), isTemporary: true, wasPowerLost: false }; }
  #ids = new Map<number, string>();
  async prepare(b: number): Promise<string> { const id = this.path === undefined ? newUuid() : (this.#ids.get(b) ?? newUuid()); this.#ids.set(b, id); return id; }
  recovered(): void {}
  close(): void { if (this.path !== undefined) rmSync(this.path, { recursive: true, force: true }); }
}
export async function openDataDirectory(_dataDir: string | undefined, durability: Durability, brokers: number | undefined, voters?: number): Promise<DataDirectory> {
  const founders = Array.from({ length: votersFor(brokers ?? 1, voters) }, (_, n) => ({ id: n + 1, directoryId: newUuid() }));
  return new DataDirectory(durability === 'memory' ? undefined : mkdtempSync(join(tmpdir(), 'tidemark-')), founders);
}
export function refuseOtherBrokers(_path: string, _made: readonly number[], _wanted: number): void {}
