import type { Replica } from '../core/replica.ts';
import type { ErrorCode } from '../errors.ts';
import {
  CARE_EVERY_MS,
  COMPACTION_BYTES_PER_SECOND,
  SCRUB_BYTES_PER_SECOND,
  SCRUB_INTERVAL_MS,
} from '../limits.ts';
import type { OpenFiles } from '../log/open-files.ts';
import { DamagedSegmentError } from '../log/segment.ts';
import type { SegmentLog } from '../log/segment-log.ts';
import type { BackgroundClient } from './background-client.ts';
import type { CatchUp } from './catch-up.ts';
import type { BrokerNotice, CareSettings } from './directory.ts';
import type { LogCompactor } from './log-compactor.ts';
import type { LogScrubber } from './log-scrubber.ts';
import type { Metrics } from './metrics.ts';
import { SegmentDamages } from './segment-damages.ts';
import type { Clock } from './surroundings.ts';

/** What the care for logs asks of its broker. */
export interface CareHost {
  readonly id: number;
  readonly clock: Clock;
  readonly replicas: readonly (Replica | undefined)[];
  readonly metrics: Metrics;
  readonly catchUp: CatchUp;
  refreshHwm(replica: Replica): void;
  restarted(replica: Replica): void;
  diskFailed(error: unknown): void;
}

export interface CareTools {
  readonly files: OpenFiles;
  /** Where the pool finds the files; without it, or without a pool, compaction runs here and nothing is scrubbed. */
  readonly root: string | undefined;
  readonly background: BackgroundClient | undefined;
  readonly notify: (notice: BrokerNotice) => void;
  readonly settings: Partial<CareSettings> | undefined;
  /** The cleaner's checkpoint of a log has risen. */
  saveCleaned(): Promise<void>;
}

const defaults: CareSettings = {
  everyMs: CARE_EVERY_MS,
  compactionBytesPerSecond: COMPACTION_BYTES_PER_SECOND,
  scrubIntervalMs: SCRUB_INTERVAL_MS,
  scrubBytesPerSecond: SCRUB_BYTES_PER_SECOND,
};

interface Workers {
  readonly compactor: LogCompactor;
  readonly scrubber: LogScrubber;
}

/**
 * What is done to a broker's sealed segments in the background: they are compacted, checked again, and healed. What
 * does it is much code, and is loaded when it is first wanted: a start does not wait for it.
 */
export class LogCare {
  readonly damages: SegmentDamages;
  readonly #host: CareHost;
  readonly #tools: CareTools;
  readonly #settings: CareSettings;
  readonly #stopTicking: () => void;
  #workers: Promise<Workers> | undefined;
  #isClosing = false;

  constructor(host: CareHost, tools: CareTools) {
    this.#host = host;
    this.#tools = tools;
    this.#settings = { ...defaults, ...tools.settings };
    this.damages = new SegmentDamages(host, tools.notify);
    this.#stopTicking = host.clock.every(this.#settings.everyMs, () => void this.#tick());
  }

  /** What a read has thrown: damage is one segment's alone, and anything else takes the replicas offline. */
  readFailed(replica: Replica, error: unknown): ErrorCode {
    if (error instanceof DamagedSegmentError) {
      this.damages.met(replica, error);
      return 'CORRUPT_MESSAGE';
    }
    this.#host.diskFailed(error);
    return 'KAFKA_STORAGE_ERROR';
  }

  /** Nobody works on this log any more when it resolves. It is not taken up again: its replica is offline. */
  async leave(log: SegmentLog): Promise<void> {
    const workers = await this.#workers;
    workers?.scrubber.leave(log);
    await workers?.compactor.leave(log);
  }

  /** Ends what is under way: the logs are about to be closed. */
  async close(): Promise<void> {
    this.#stopTicking();
    this.#isClosing = true;
    const workers = await this.#workers;
    await Promise.all([workers?.compactor.close(), workers?.scrubber.close()]);
  }

  async #tick(): Promise<void> {
    this.#workers ??= this.#load();
    const { compactor, scrubber } = await this.#workers;
    if (this.#isClosing) return;
    compactor.start((log) => scrubber.leave(log));
    scrubber.start((log) => compactor.current === log);
  }

  async #load(): Promise<Workers> {
    const [{ LogCompactor }, { LogScrubber }] = await Promise.all([
      import('./log-compactor.ts'),
      import('./log-scrubber.ts'),
    ]);
    const tools = { ...this.#tools, settings: this.#settings, damages: this.damages };
    return {
      compactor: new LogCompactor(this.#host, tools),
      scrubber: new LogScrubber(this.#host, tools),
    };
  }
}
