import { TidemarkError } from '../errors.ts';

/** What an idempotent producer has to begin with. */
export interface NewProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** Ids that nobody else was given or will be, from `first` on. */
interface IdBlock {
  readonly first: number;
  readonly count: number;
}

const FIRST_EPOCH = 0;
/** So often whoever asks for ids may have been registered anew meanwhile. */
const TRIES_MAX = 5;

/**
 * Ids for idempotent producers, each once, also over restarts: whole blocks of them are committed in the metadata, and
 * what is left of one when the process ends is never used.
 */
export class ProducerIds {
  readonly #allocate: () => Promise<IdBlock>;
  #next = 0;
  #end = 0;
  #allocating: Promise<void> | undefined;

  constructor(allocate: () => Promise<IdBlock>) {
    this.#allocate = allocate;
  }

  async next(): Promise<NewProducer> {
    while (this.#next === this.#end) {
      this.#allocating ??= this.#renew().finally(() => {
        this.#allocating = undefined;
      });
      await this.#allocating;
    }
    return { producerId: this.#next++, producerEpoch: FIRST_EPOCH };
  }

  async #renew(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        const { first, count } = await this.#allocate();
        this.#next = first;
        this.#end = first + count;
        return;
      } catch (error) {
        const isStale = error instanceof TidemarkError && error.code === 'STALE_BROKER_EPOCH';
        if (!isStale || tries === TRIES_MAX) throw error;
      }
    }
  }
}
