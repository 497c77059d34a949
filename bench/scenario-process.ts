import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { RoundResult, ScenarioLags } from './scenario.ts';

/** Windows has no such signals; there they go on. */
const HAS_STOP = process.platform !== 'win32';

export type Task =
  | { readonly do: 'start' | 'forget' | 'finish' | 'close' }
  | {
      readonly do: 'round';
      readonly durationMs: number;
      readonly recordsPerSecond: number;
      /** It runs for so long before, uncounted. */
      readonly runInMs: number;
    };

export interface Reply {
  readonly error?: string;
  readonly round?: RoundResult;
  readonly isVerified?: boolean;
  readonly lags?: ScenarioLags | undefined;
}

/**
 * A scenario in a process of its own: what the others have taught the compiler, and left on the heap, is no part of
 * what it measures, as it is none where people use a cluster. It stands still while it is others' turn: an idle cluster
 * costs little, and fifteen of them cost as much as one that works.
 */
export class ScenarioProcess {
  readonly name: string;
  readonly #child: ChildProcess;

  constructor(name: string) {
    this.name = name;
    const script = fileURLToPath(new URL('./scenario-child.js', import.meta.url));
    this.#child = fork(script, [name], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    // How it ended is told to whoever waits for its answer.
    this.#child.on('error', () => undefined);
  }

  async start(): Promise<void> {
    await this.#ask({ do: 'start' });
  }

  async round(durationMs: number, recordsPerSecond: number, runInMs = 0): Promise<RoundResult> {
    const { round } = await this.#ask({ do: 'round', durationMs, recordsPerSecond, runInMs });
    this.#halt();
    return round as RoundResult;
  }

  /** The rounds so far were warm-up. */
  async forget(): Promise<void> {
    await this.#ask({ do: 'forget' });
    this.#halt();
  }

  async finish(): Promise<{ isVerified: boolean; lags: ScenarioLags | undefined }> {
    const { isVerified, lags } = await this.#ask({ do: 'finish' });
    return { isVerified: isVerified === true, lags };
  }

  /** Ends it, in whatever state it is. */
  async close(): Promise<void> {
    if (!this.#isAlive) return;
    const exited = once(this.#child, 'exit');
    this.#go();
    if (this.#child.connected) this.#child.send({ do: 'close' });
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await exited;
    clearTimeout(timer);
  }

  get #isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined;
  }

  #halt(): void {
    if (HAS_STOP) this.#child.kill('SIGSTOP');
  }

  #go(): void {
    if (HAS_STOP) this.#child.kill('SIGCONT');
  }

  async #ask(task: Task): Promise<Reply> {
    if (!this.#isAlive) throw new Error(`the process of ${this.name} has ended`);
    this.#go();
    const ended = new AbortController();
    const { signal } = ended;
    const died = once(this.#child, 'exit', { signal }).then(([code, killedBy]) => {
      throw new Error(`the process of ${this.name} has ended by itself (${killedBy ?? `exit code ${code}`})`);
    });
    const answered = once(this.#child, 'message', { signal });
    this.#child.send(task);
    try {
      const [reply] = (await Promise.race([answered, died])) as [Reply];
      if (reply.error !== undefined) throw new Error(`${this.name}: ${reply.error}`);
      return reply;
    } finally {
      ended.abort();
      await Promise.allSettled([answered, died]);
    }
  }
}
