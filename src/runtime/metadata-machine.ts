import { apply } from '../core/metadata/apply.ts';
import { decodeRecords } from '../core/metadata/decode-records.ts';
import { emptyImage, type MetadataImage, recordsOf } from '../core/metadata/image.ts';
import { encodeRecords, type MetadataRecord } from '../core/metadata/records.ts';
import type { Entry, Snapshot } from '../core/raft/index.ts';
import type { Machine } from './voter.ts';

/** Voters of one process share the bytes of an entry: the first of them to apply it decodes it for all. */
const decoded = new WeakMap<Uint8Array, readonly MetadataRecord[]>();

function recordsIn({ index, kind, data }: Entry): readonly MetadataRecord[] {
  if (kind !== 'data') return [];
  let records = decoded.get(data);
  if (records === undefined) {
    records = decodeRecords(data, `entry ${index} of the metadata log`);
    decoded.set(data, records);
  }
  return records;
}

/** A voter's own image of the metadata. */
export class MetadataMachine implements Machine {
  #image = emptyImage;
  readonly #applied: (image: MetadataImage, records: readonly MetadataRecord[] | undefined) => void;

  /** `applied` learns of every change: the records that made it, or undefined where everything may be another. */
  constructor(applied: (image: MetadataImage, records: readonly MetadataRecord[] | undefined) => void) {
    this.#applied = applied;
  }

  get image(): MetadataImage {
    return this.#image;
  }

  apply(entry: Entry): void {
    const records = recordsIn(entry);
    this.#image = apply(this.#image, records, entry.index, entry.term);
    this.#applied(this.#image, records);
  }

  install({ data, index, term }: Snapshot): void {
    this.#image = apply(
      emptyImage,
      decodeRecords(data, `the metadata snapshot of entry ${index}`),
      index,
      term,
    );
    this.#applied(this.#image, undefined);
  }

  snapshot(): Uint8Array {
    return encodeRecords(recordsOf(this.#image));
  }
}
