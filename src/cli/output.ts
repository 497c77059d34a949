import type { Terminal } from './command-line.ts';

/** Text is gathered up to here, since each write to a pipe wakes its reader. */
const GATHERED_CHARACTERS = 64 * 1024;

/** The lines of a command that says the same thing to people and to programs. */
export class Output {
  readonly #terminal: Terminal;
  readonly #isJson: boolean;
  #gathered = '';

  constructor(terminal: Terminal, isJson: boolean) {
    this.#terminal = terminal;
    this.#isJson = isJson;
  }

  /** The same thing for people and for programs. */
  line(text: string, values: object): void {
    this.#gathered += `${this.#isJson ? JSON.stringify(values) : text}\n`;
    if (this.#gathered.length >= GATHERED_CHARACTERS) this.flush();
  }

  /** Lines for people alone: programs have been told already. */
  text(lines: readonly string[]): void {
    if (!this.#isJson) for (const line of lines) this.line(line, {});
  }

  flush(): void {
    this.#terminal.out(this.#gathered);
    this.#gathered = '';
  }
}
