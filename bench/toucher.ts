import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/**
 * Uses memory, and gives it back. The host of a virtual machine takes away what nobody uses, and gives it back page by
 * page when it is touched, which was seven times as slow as writing there: unprepared, every second replica came back to
 * memory of that kind, in twice the time.
 *
 * Another process does it that was begun before there was much memory to speak of: to begin one makes the system watch every
 * page that its parent has, and each of them costs a fault when it is written to next.
 */
export class Toucher {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(new URL('./toucher-child.js', import.meta.url), { execArgv: [] });
  }

  async touch(): Promise<void> {
    const ended = new AbortController();
    const left = once(this.#child, 'exit', { signal: ended.signal }).then(([code]) => {
      throw new Error(`what touches memory has ended with ${code}`);
    });
    this.#child.send('touch');
    await Promise.race([once(this.#child, 'message', { signal: ended.signal }), left]).finally(() => {
      ended.abort();
    });
  }

  close(): void {
    this.#child.kill();
  }
}
