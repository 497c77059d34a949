import { requireOneOf, show, TidemarkError } from '../errors.ts';
import type { Coordinator } from '../runtime/coordinator.ts';
import type { DiskFault } from '../types.ts';
import { checkBroker } from './replica-check.ts';

/** Lets brokers fail, as they do by themselves when a thread dies or something blocks it. */
export class Faults {
  readonly #coordinator: Coordinator;
  readonly #whileOpen: <T>(act: () => Promise<T>) => Promise<T>;

  /** @internal */
  constructor(coordinator: Coordinator, whileOpen: <T>(act: () => Promise<T>) => Promise<T>) {
    this.#coordinator = coordinator;
    this.#whileOpen = whileOpen;
  }

  /** Ends a broker's thread in the midst of what it does. Resolves when others lead in its place. */
  async kill(broker: number): Promise<void> {
    checkBroker(broker);
    await this.#whileOpen(() => this.#coordinator.lives.kill(broker));
  }

  /** Starts a broker that has ended, on its own data; one that runs is killed before. */
  async restart(broker: number): Promise<void> {
    checkBroker(broker);
    await this.#whileOpen(() => this.#coordinator.lives.restart(broker));
  }

  /** Blocks a broker's thread, as a hang would, until resume(). */
  async pause(broker: number): Promise<void> {
    checkBroker(broker);
    await this.#whileOpen(async () => this.#coordinator.members.pause(broker));
  }

  async resume(broker: number): Promise<void> {
    checkBroker(broker);
    await this.#whileOpen(async () => this.#coordinator.members.resume(broker));
  }

  /**
   * Cuts these brokers off from all others and from the coordinator; they see each other. Every call makes an island of its
   * own: isolate([2, 3]) leaves 2 and 3 together, isolate([2]) and isolate([3]) leave each alone. Clients still reach all.
   */
  async isolate(brokers: readonly number[]): Promise<void> {
    if (!Array.isArray(brokers) || brokers.length === 0)
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `isolate takes the ids of the brokers to cut off, in a list such as [2, 3]; got ${show(brokers)}.`,
      );
    const ids = Array.from(brokers, (id) => checkBroker(id));
    await this.#whileOpen(async () => this.#coordinator.members.isolate(ids));
  }

  /** Ends what isolate() has done, to all of them. Who was fenced meanwhile comes back, and follows. */
  async heal(): Promise<void> {
    await this.#whileOpen(async () => this.#coordinator.heal());
  }

  /**
   * Lets a broker's disk be slow, full or failing, in this life and in later ones, until it is sound again; a broker that
   * has gone offline for it stays so until restart(). 'wiped' stops the broker, takes all that it and its vote had, and
   * starts it again.
   */
  async disk(broker: number, fault: DiskFault): Promise<void> {
    checkBroker(broker);
    const condition = requireOneOf('a disk', fault, ['slow', 'full', 'failing', 'wiped', 'sound'] as const);
    const { lives, members } = this.#coordinator;
    await this.#whileOpen(() =>
      condition === 'wiped' ? lives.wipe(broker) : members.afflict(broker, condition),
    );
  }
}
