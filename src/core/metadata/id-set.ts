import { type Owner, PersistentMap } from './persistent-map.ts';

/** A set of partition ids that never changes. Ids are dense, so that 32 of them share a word. */
export class IdSet {
  static readonly empty = new IdSet(0, PersistentMap.empty());

  readonly size: number;
  readonly #words: PersistentMap<number, number>;

  private constructor(size: number, words: PersistentMap<number, number>) {
    this.size = size;
    this.#words = words;
  }

  has(id: number): boolean {
    return ((this.#words.get(id >>> 5) ?? 0) & (1 << (id & 31))) !== 0;
  }

  add(id: number, owner?: Owner): IdSet {
    if (this.has(id)) return this;
    const word = (this.#words.get(id >>> 5) ?? 0) | (1 << (id & 31));
    return new IdSet(this.size + 1, this.#words.set(id >>> 5, word, owner));
  }

  delete(id: number, owner?: Owner): IdSet {
    if (!this.has(id)) return this;
    const word = (this.#words.get(id >>> 5) as number) & ~(1 << (id & 31));
    const words = word === 0 ? this.#words.delete(id >>> 5, owner) : this.#words.set(id >>> 5, word, owner);
    return new IdSet(this.size - 1, words);
  }

  /** Ascending. */
  *[Symbol.iterator](): Generator<number, void> {
    const indexes = [...this.#words.keys()].sort((one, other) => one - other);
    for (const index of indexes) {
      const word = this.#words.get(index) as number;
      for (let bit = 0; bit < 32; bit++) if ((word & (1 << bit)) !== 0) yield index * 32 + bit;
    }
  }
}
