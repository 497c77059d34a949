import { isCompacted } from '../config.ts';
import type { Replica } from '../core/replica.ts';
import { DiskError } from '../log/disk.ts';
import type { ScrubFault } from '../log/scrub.ts';
import { ScrubSchedule } from '../log/scrub-schedule.ts';
import type { Segment } from '../log/segment.ts';
import type { SegmentLog } from '../log/segment-log.ts';
import { AbortError } from './background-client.ts';
import type { CareSettings } from './directory.ts';
import type { CareHost, CareTools } from './log-care.ts';
import { segmentLogOf } from './replica-opening.ts';
import type { SegmentDamages } from './segment-damages.ts';

/** Between two segments: many that are small shall not keep a broker busy. */
const REST_MS = 50;

interface ScrubberTools extends CareTools {
  readonly settings: CareSettings;
  readonly damages: SegmentDamages;
}

interface Candidate {
  readonly replica: Replica;
  readonly log: SegmentLog;
  readonly segment: Segment;
}

/** Checks a broker's sealed segments again, one at a time, in the pool: on a disk alone, since memory does not rot. */
export class LogScrubber {
  readonly #host: CareHost;
  readonly #tools: ScrubberTools;
  readonly #schedule: ScrubSchedule<Segment>;
  /** What was due when all segments were last looked at: who has waited longest is last. */
  #due: Candidate[] = [];
  #running: Promise<void> | undefined;
  #current: { readonly log: SegmentLog; readonly abort: AbortController } | undefined;
  #stopResting: (() => void) | undefined;
  #state: 'open' | 'closed' = 'open';

  constructor(host: CareHost, tools: ScrubberTools) {
    this.#host = host;
    this.#tools = tools;
    this.#schedule = new ScrubSchedule(tools.settings.scrubIntervalMs);
  }

  /** Checks what has its turn, unless that is under way. A log that is `busy` is passed over. */
  start(busy: (log: SegmentLog) => boolean): void {
    if (this.#running !== undefined || this.#stopResting !== undefined || this.#state === 'closed') return;
    this.#running = this.#checkNext(busy)
      .catch((error) => {
        this.#host.diskFailed(error);
        return false;
      })
      .then((isMore) => {
        this.#running = undefined;
        if (isMore && this.#state === 'open') this.#rest(busy);
      });
  }

  /** Somebody else works on this log from now on. */
  leave(log: SegmentLog): void {
    if (this.#current?.log === log) this.#current.abort.abort();
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    this.#stopResting?.();
    this.#current?.abort.abort();
    await this.#running;
  }

  #rest(busy: (log: SegmentLog) => boolean): void {
    this.#stopResting = this.#host.clock.schedule(REST_MS, () => {
      this.#stopResting = undefined;
      this.start(busy);
    });
  }

  /** False where nothing has its turn. */
  async #checkNext(busy: (log: SegmentLog) => boolean): Promise<boolean> {
    const { root, background, settings, damages } = this.#tools;
    if (root === undefined || background === undefined) return false;
    const candidate = this.#next(busy);
    if (candidate === undefined) return false;
    const { replica, log, segment } = candidate;
    const { path, baseOffset, nextOffset, bytes } = segment;
    const abort = new AbortController();
    this.#current = { log, abort };
    segment.holders += 1;
    try {
      const scrubbed = { path, baseOffset, nextOffset, bytes, gapsAllowed: isCompacted(log.config) };
      const bytesPerSecond = settings.scrubBytesPerSecond;
      const fault = await background
        .run({ kind: 'scrub', root, segment: scrubbed, bytesPerSecond }, { signal: abort.signal })
        .catch((error: unknown) => faultOf(error, candidate));
      this.#schedule.checked(segment, this.#host.clock.nowMs());
      const stands = log.segmentAt(path) === segment && segment.bytes === bytes;
      if (fault === undefined || !stands || replica.state !== 'online') return true;
      const { position, offset: fromOffset, sentence } = fault;
      damages.found(replica, segment, { position, fromOffset, sentence });
      return true;
    } catch (error) {
      // It has its turn later; so have others that wait.
      if (error instanceof AbortError) return true;
      throw error;
    } finally {
      segment.holders -= 1;
      this.#current = undefined;
    }
  }

  /** Of those that were found due: whatever is busy now keeps its place. */
  #next(busy: (log: SegmentLog) => boolean): Candidate | undefined {
    if (this.#due.length === 0) this.#due = this.#findDue();
    const passedOver: Candidate[] = [];
    for (let each = this.#due.pop(); each !== undefined; each = this.#due.pop()) {
      if (busy(each.log)) passedOver.push(each);
      else if (this.#isToBeChecked(each)) {
        this.#due.push(...passedOver.reverse());
        return each;
      }
    }
    return undefined;
  }

  #isToBeChecked({ replica, log, segment }: Candidate): boolean {
    const isThere = replica.state === 'online' && log.segmentAt(segment.path) === segment;
    return isThere && segment !== log.segments.at(-1) && !this.#tools.damages.isKnown(segment);
  }

  #findDue(): Candidate[] {
    const candidates = new Map<Segment, Candidate>();
    for (const replica of this.#host.replicas) {
      const log = replica?.state === 'online' ? segmentLogOf(replica) : undefined;
      if (replica === undefined || log === undefined) continue;
      for (const segment of log.sealed) candidates.set(segment, { replica, log, segment });
    }
    const due = this.#schedule.due(candidates.keys(), this.#host.clock.nowMs());
    return due.map((segment) => candidates.get(segment) as Candidate).reverse();
  }
}

/** A device that cannot read what it was given has lost it, and so has a directory without the file. */
const LOST = new Set(['EIO', 'ENOENT']);

/** Other refusals say nothing about the segment. */
function faultOf(error: unknown, { segment }: Candidate): ScrubFault | undefined {
  if (error instanceof AbortError) throw error;
  if (!(error instanceof DiskError) || !LOST.has(error.code)) return undefined;
  const { path, baseOffset: offset } = segment;
  return { path, position: 0, offset, sentence: error.message };
}
