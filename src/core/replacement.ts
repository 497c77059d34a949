import { TidemarkError } from '../errors.ts';

interface Place {
  readonly id: number;
  readonly rack: string | null;
}

/** Chooses brokers for replicas that come: on as many racks as can be, and on those that hold least. */
export class Replacement {
  readonly #places: readonly Place[];
  readonly #load: Map<number, number>;

  /** `load`: how many replicas each holds. What is chosen counts from then on. */
  constructor(places: readonly Place[], load: ReadonlyMap<number, number>) {
    this.#places = places;
    this.#load = new Map(load);
  }

  /** As many replicas as asked for: those of `kept`, in their order, and others behind them. */
  extended(kept: readonly number[], count: number): number[] {
    const replicas = [...kept];
    while (replicas.length < count) replicas.push(this.#next(replicas));
    return replicas;
  }

  /** As many replicas as asked for, in their order: first of all those in sync, and of them one on each rack. */
  reduced(replicas: readonly number[], isr: readonly number[], count: number): number[] {
    const line = [
      ...replicas.filter((id) => isr.includes(id)),
      ...replicas.filter((id) => !isr.includes(id)),
    ];
    const kept: number[] = [];
    while (kept.length < count) {
      let best = 0;
      for (let n = 1; n < line.length && this.#neighbours(line[best], kept) > 0; n++)
        if (this.#neighbours(line[n], kept) < this.#neighbours(line[best], kept)) best = n;
      kept.push(...line.splice(best, 1));
    }
    return replicas.filter((id) => kept.includes(id));
  }

  /** Another broker in the place of one of these replicas. */
  replaced(replicas: readonly number[], leaving: number): number[] {
    const next = this.#next(
      replicas.filter((id) => id !== leaving),
      leaving,
    );
    return replicas.map((id) => (id === leaving ? next : id));
  }

  #next(replicas: readonly number[], leaving?: number): number {
    const free = this.#places.filter(({ id }) => !replicas.includes(id) && id !== leaving);
    const rank = ({ id }: Place): number => this.#load.get(id) ?? 0;
    const [best] = free.sort(
      (one, other) =>
        this.#neighbours(one.id, replicas) - this.#neighbours(other.id, replicas) ||
        rank(one) - rank(other) ||
        one.id - other.id,
    );
    if (best === undefined) {
      throw new TidemarkError(
        'INVALID_REPLICATION_FACTOR',
        `There is no broker for replica ${replicas.length + 1} of a partition${leaving === undefined ? '' : `, besides broker ${leaving}`}: each needs one of its own, and ${this.#places.length} can take replicas. Ask for fewer, or add brokers.`,
      );
    }
    this.#load.set(best.id, rank(best) + 1);
    return best.id;
  }

  /** How many of these replicas share a rack with a broker; one of which no rack is known has its own. */
  #neighbours(id: number, replicas: readonly number[]): number {
    const rack = this.#rackOf(id);
    return rack === null
      ? 0
      : replicas.filter((other) => other !== id && this.#rackOf(other) === rack).length;
  }

  #rackOf(id: number): string | null {
    return this.#places.find((place) => place.id === id)?.rack ?? null;
  }
}
