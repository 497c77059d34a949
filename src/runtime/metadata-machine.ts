import { apply } from '../core/metadata/apply.ts';
import { decodeRecords } from '../core/metadata/decode-records.ts';
import { emptyImage, type MetadataImage, recordsOf } from '../core/metadata/image.ts';
import { encodeRecords, type MetadataRecord } from '../core/metadata/records.ts';
import type { Entry, Snapshot } from '../core/raft/index.ts';
import { throwLater } from './throw-later.ts';
import type { Machine } from './voter.ts';

/** `records` are those of the one entry in between; undefined: a snapshot, and everything may be another. */
export type Published = (
  image: MetadataImage,
  before: MetadataImage,
  records: readonly MetadataRecord[] | undefined,
) => void;

/** The image of everything that is known to be committed: that of whichever voter applies an entry first. */
export class PublishedImage {
  #image = emptyImage;
  readonly #published: Published;

  constructor(published: Published) {
    this.#published = published;
  }

  get image(): MetadataImage {
    return this.#image;
  }

  advance(image: MetadataImage, records: readonly MetadataRecord[] | undefined): void {
    const before = this.#image;
    this.#image = image;
    try {
      this.#published(image, before, records);
    } catch (error) {
      // It is no fault of the voter that came first, which would end with it, and the others after it.
      throwLater(error);
    }
  }
}

/**
 * What a voter's committed entries come to. Voters of one process need not do the same work: an image never changes, and
 * entries of the same index and term have the same past, so a voter that is behind takes over the image of one that was
 * there before.
 */
export class MetadataMachine implements Machine {
  readonly #published: PublishedImage;
  #image = emptyImage;
  /** Committed, and not in the image: nobody has asked for it since. */
  #behind: Entry[] = [];

  constructor(published: PublishedImage) {
    this.#published = published;
  }

  /** After the last entry that was applied. */
  get image(): MetadataImage {
    const last = this.#behind.at(-1);
    if (last === undefined) return this.#image;
    const { image } = this.#published;
    if (image.offset === last.index && image.term === last.term) this.#image = image;
    else for (const entry of this.#behind) this.#image = applied(this.#image, entry, recordsIn(entry));
    this.#behind = [];
    return this.#image;
  }

  apply(entry: Entry): void {
    const { offset } = this.#published.image;
    if (entry.index <= offset) {
      this.#behind.push(entry);
      return;
    }
    const records = recordsIn(entry);
    this.#image = applied(this.image, entry, records);
    this.#published.advance(this.#image, entry.index === offset + 1 ? records : undefined);
  }

  install({ data, index, term }: Snapshot): void {
    this.#behind = [];
    const records = decodeRecords(data, `the metadata snapshot of entry ${index}`);
    this.#image = apply(emptyImage, records, index, term);
    if (index > this.#published.image.offset) this.#published.advance(this.#image, undefined);
  }

  snapshot(): Uint8Array {
    return encodeRecords(recordsOf(this.image));
  }
}

function recordsIn({ index, kind, data }: Entry): readonly MetadataRecord[] {
  return kind === 'data' ? decodeRecords(data, `entry ${index} of the metadata log`) : [];
}

function applied(image: MetadataImage, entry: Entry, records: readonly MetadataRecord[]): MetadataImage {
  return apply(image, records, entry.index, entry.term);
}
