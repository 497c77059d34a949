import type { Replica } from '../core/replica.ts';
import type { BrokerHost } from './broker-host.ts';
import type { ProgressRow } from './progress.ts';

/**
 * Reads that wait at followers for what their leaders commit. An HWM rises without a word to the followers, which need it
 * for nothing else at that moment. So a follower with readers raises a flag beside its progress, and a leader that sees it
 * when an HWM has risen rings. The flag is raised before the HWM is looked at for the last time, and the HWM stored before
 * the flag is looked at: one of the two sees the other.
 */
export class FollowedReads {
  readonly #host: BrokerHost;
  /** This broker's own, as a follower. */
  readonly #progress: ProgressRow;
  readonly #replicas = new Set<Replica>();
  /** Leaders that know that somebody waits for them. */
  readonly #flagged = new Set<number>();

  constructor(host: BrokerHost, progress: ProgressRow) {
    this.#host = host;
    this.#progress = progress;
  }

  /** A read has begun to wait at this replica. */
  add(replica: Replica): void {
    this.#replicas.add(replica);
    this.#flag();
  }

  get isEmpty(): boolean {
    return this.#replicas.size === 0;
  }

  /** Whether an answer can be given. */
  hasNews(): boolean {
    for (const replica of this.#replicas) {
      this.#host.refreshHwm(replica);
      for (const { offset } of replica.reads) if (offset < replica.hwm) return true;
    }
    return false;
  }

  /** Answers those who waited for what is committed by now. */
  look(): void {
    for (const replica of this.#replicas) {
      this.#host.refreshHwm(replica);
      for (const read of replica.reads) if (read.offset < replica.hwm) read.answer('NONE');
      // Those of a leader are answered by itself.
      if (replica.isLeader || replica.reads.size === 0) this.#replicas.delete(replica);
    }
    this.#flag();
  }

  #flag(): void {
    const leaders = new Set<number>();
    for (const { info } of this.#replicas) if (info.leader !== -1) leaders.add(info.leader);
    for (const leader of this.#flagged) if (!leaders.has(leader)) this.#progress.storeReaders(leader, 0);
    for (const leader of leaders) if (!this.#flagged.has(leader)) this.#progress.storeReaders(leader, 1);
    this.#flagged.clear();
    for (const leader of leaders) this.#flagged.add(leader);
  }
}
