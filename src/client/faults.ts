import { requireInteger } from '../errors.ts';
import type { Coordinator } from '../runtime/coordinator.ts';

/** Lets brokers fail, as they do by themselves when a thread dies or something blocks it. */
export class Faults {
  readonly #coordinator: Coordinator;
  readonly #checkOpen: () => void;

  /** @internal */
  constructor(coordinator: Coordinator, checkOpen: () => void) {
    this.#coordinator = coordinator;
    this.#checkOpen = checkOpen;
  }

  /** Ends a broker's thread in the midst of what it does. Resolves when others lead in its place. */
  async kill(broker: number): Promise<void> {
    await this.#coordinator.lives.kill(this.#checked(broker));
  }

  /** Starts a broker that has ended, on its own data; one that runs is killed before. */
  async restart(broker: number): Promise<void> {
    const id = this.#checked(broker);
    if (!this.#coordinator.members.get(id).handle.hasEnded) await this.#coordinator.lives.kill(id);
    await this.#coordinator.lives.start(id);
  }

  /** Blocks a broker's thread, as a hang would, until resume(). */
  async pause(broker: number): Promise<void> {
    this.#coordinator.members.pause(this.#checked(broker));
  }

  async resume(broker: number): Promise<void> {
    this.#coordinator.members.resume(this.#checked(broker));
  }

  #checked(broker: number): number {
    this.#checkOpen();
    return requireInteger('a broker', broker, 1);
  }
}
