import type { Terminal } from './command-line.ts';

const EVERY_MS = 500;
const MIB = 1024 * 1024;

/** A line on stderr that is written over, while work goes on that takes long, and somebody is watching. */
export class Progress {
  readonly #terminal: Terminal;
  #bytes = 0;
  #shownMs = Date.now();
  #isShown = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    if (!this.#terminal.showsProgress || Date.now() - this.#shownMs < EVERY_MS) return;
    this.#shownMs = Date.now();
    this.#isShown = true;
    this.#terminal.err(`\r${Math.floor(this.#bytes / MIB)} MiB checked`);
  }

  /** Makes room for a line. */
  clear(): void {
    if (this.#isShown) this.#terminal.err(`\r${' '.repeat(30)}\r`);
    this.#isShown = false;
  }
}
