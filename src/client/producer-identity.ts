import type { TidemarkError } from '../errors.ts';

import type { NewProducer } from '../runtime/producer-ids.ts';

interface IdentityHost {
  ask(): Promise<NewProducer>;
  /** There is one now. */
  found(): void;
  /** There is none yet; it is asked for again after so many failures. */
  failed(error: TidemarkError, failures: number): void;
}

/** The identity of an idempotent producer, asked for when its first batch needs it. */
export class OwnIdentity {
  readonly #host: IdentityHost;
  #identity: NewProducer | undefined;
  #state: 'idle' | 'asking' = 'idle';
  #failures = 0;

  constructor(host: IdentityHost) {
    this.#host = host;
  }

  /** Undefined: it is being asked for. `spent` is one that no partition takes any more. */
  get(spent: NewProducer | undefined): NewProducer | undefined {
    if (this.#identity?.producerId === spent?.producerId) this.#identity = undefined;
    if (this.#identity === undefined) this.ask();
    return this.#identity;
  }

  ask(): void {
    if (this.#state === 'asking' || this.#identity !== undefined) return;
    this.#state = 'asking';
    this.#host.ask().then(
      (identity) => {
        this.#state = 'idle';
        this.#failures = 0;
        this.#identity = identity;
        this.#host.found();
      },
      (error) => {
        this.#state = 'idle';
        this.#host.failed(error, ++this.#failures);
      },
    );
  }
}
