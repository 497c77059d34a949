import type { MetadataImage } from '../../src/core/metadata/image.ts';
import type { Entry, Snapshot } from '../../src/core/raft/index.ts';
import { MetadataMachine, type PublishedImage } from '../../src/runtime/metadata-machine.ts';
import type { Machine } from '../../src/runtime/voter.ts';

export interface MachineEvents {
  readonly applied: (entry: Entry) => void;
  readonly installed: (snapshot: Snapshot) => void;
  readonly compacted: (index: number, data: Uint8Array) => void;
}

/** The metadata machine of the product, and what happens to it. */
export class SimMachine implements Machine {
  readonly #machine: MetadataMachine;
  readonly #events: MachineEvents;
  /** The last entry that is in it. */
  index = 0;

  constructor(published: PublishedImage, events: MachineEvents) {
    this.#machine = new MetadataMachine(published);
    this.#events = events;
  }

  get image(): MetadataImage {
    return this.#machine.image;
  }

  apply(entry: Entry): void {
    this.#events.applied(entry);
    this.#machine.apply(entry);
    this.index = entry.index;
  }

  install(snapshot: Snapshot): void {
    this.#events.installed(snapshot);
    this.#machine.install(snapshot);
    this.index = snapshot.index;
  }

  snapshot(): Uint8Array {
    const data = this.#machine.snapshot();
    this.#events.compacted(this.index, data);
    return data;
  }
}
