/** What goes between the coordinator and a broker, in order: while the two cannot hear each other, it waits. */
export class HeldMessages {
  #waiting: (() => void)[] | undefined;

  get areHeld(): boolean {
    return this.#waiting !== undefined;
  }

  /** Delivers it now, or once the two hear each other again. */
  pass(deliver: () => void): void {
    if (this.#waiting === undefined) deliver();
    else this.#waiting.push(deliver);
  }

  hold(): void {
    this.#waiting ??= [];
  }

  release(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const deliver of waiting ?? []) deliver();
  }

  /** One of the two is gone. */
  drop(): void {
    if (this.#waiting !== undefined) this.#waiting = [];
  }
}
