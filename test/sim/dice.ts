import { type Random, seededRandom } from '../log/seeded-random.ts';

/** Chance, from a seed. */
export class Dice {
  readonly below: Random;

  constructor(seed: number) {
    this.below = seededRandom(seed);
  }

  /** Evenly spread over [0, 1). */
  fraction(): number {
    return this.below(1 << 24) / (1 << 24);
  }

  between(least: number, most: number): number {
    return least + this.fraction() * (most - least);
  }

  /** True in so many of a hundred cases, which may be a fraction. */
  percent(share: number): boolean {
    return this.fraction() * 100 < share;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }

  /** Times between things that happen on average every `meanMs`. */
  waitMs(meanMs: number): number {
    return -Math.log(1 - this.fraction()) * meanMs;
  }

  /** One that goes its own way. */
  fork(): Dice {
    return new Dice(this.below(0x7fff_ffff));
  }
}
