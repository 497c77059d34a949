const DETAILS_LENGTH_MAX = 2000;

/** What an interop run has found so far. A check that fails is told at once, and the run goes on. */
export class Checks {
  #passed = 0;
  #failed = 0;
  #skipped = 0;
  readonly #print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  async check(name: string, act: () => void | Promise<void>): Promise<void> {
    try {
      await act();
      this.#passed += 1;
      this.#print(`ok      ${name}`);
    } catch (error) {
      this.#failed += 1;
      this.#print(`FAILED  ${name}\n${indented(described(error))}`);
    }
  }

  /** Something of this machine is missing; `reason` names it. */
  skip(name: string, reason: string): void {
    this.#skipped += 1;
    this.#print(`skipped: ${name}: ${reason}`);
  }

  /** The last line, and whether the run may count as a success. */
  end(): boolean {
    const skipped = this.#skipped > 0 ? `, ${this.#skipped} skipped` : '';
    this.#print(`\n${this.#passed} passed, ${this.#failed} failed${skipped}`);
    return this.#failed === 0;
  }
}

/** Assertions keep what differs beside their message. */
function described(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { details } = error as { details?: unknown };
  const shown = typeof details === 'string' ? `\n${details.slice(0, DETAILS_LENGTH_MAX)}` : '';
  return `${error.message}${shown}`;
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `        ${line}`)
    .join('\n');
}
