import type { EpochList } from './epoch-list.ts';
import type { ScannedProducers } from './producer-log.ts';
import type { Segment } from './segment.ts';

/** What opening found of a log, or nothing where it is new. */
export interface LogState {
  /** Ascending; all but the last are sealed. */
  readonly segments: Segment[];
  readonly epochs: EpochList;
  readonly areEpochsStale: boolean;
  readonly logStart: number;
  readonly leo: number;
  /** Everything below is on the device. */
  readonly recoveryPoint: number;
  /** Whether the directory was made just now: then nothing says yet that it is to be found after a power cut. */
  readonly isNew: boolean;
  /** Files that segments have left, and that others may take over. */
  readonly spares: readonly string[];
  /** Of the files in the directory; undefined where nobody has looked. */
  readonly names: Iterable<string> | undefined;
  /** What scans of its segments have told of producers. */
  readonly scanned?: readonly ScannedProducers[];
}
