import type { CompactionJob, CompactionResult } from '../log/compaction.ts';
import type { ScrubbedSegment, ScrubFault } from '../log/scrub.ts';
import type { SegmentScan, SegmentScanOptions } from '../log/segment-scan.ts';

// What the pool for background work is asked for, and how broker threads ask for it: through the main thread, which owns
// the pool. All of it is plain data. Paths are relative to `root`, a broker's directory.

/** Look through a segment file whose end nobody knows, at full speed: somebody waits for it. */
export interface ScanRequest {
  readonly kind: 'scan';
  readonly root: string;
  readonly path: string;
  readonly options: SegmentScanOptions;
}

/** Write the cleaned segments beside the log's own. Swapping them in is left to the log's owner. */
export interface CompactRequest {
  readonly kind: 'compact';
  readonly root: string;
  readonly job: CompactionJob;
  readonly bytesPerSecond: number;
}

/** Check a sealed segment again. */
export interface ScrubRequest {
  readonly kind: 'scrub';
  readonly root: string;
  readonly segment: ScrubbedSegment;
  readonly bytesPerSecond: number;
}

export type BackgroundRequest = ScanRequest | CompactRequest | ScrubRequest;

interface Results {
  readonly scan: SegmentScan;
  readonly compact: CompactionResult;
  /** Undefined where the segment is what it was. */
  readonly scrub: ScrubFault | undefined;
}

export type BackgroundResult<Request extends BackgroundRequest> = Results[Request['kind']];

/** Bytes that were worked through so far: of a compaction more than the log has, since it reads some of it twice. */
export type BackgroundProgress = (doneBytes: number) => void;

/** Why a task has no result. With a code, it is what the disk refused. */
export interface BackgroundFailure {
  readonly message: string;
  readonly isAborted?: true;
  readonly code?: string;
  readonly path?: string;
}

/** What a thread of the pool answers. */
export type BackgroundAnswer =
  | { readonly result: BackgroundResult<BackgroundRequest> }
  | { readonly failure: BackgroundFailure };

/** From a broker thread to the main thread; it numbers its tasks. */
export type TaskMessage =
  | { readonly task: number; readonly request: BackgroundRequest }
  | { readonly task: number; readonly abort: true };

/** Back to the broker thread: progress any number of times, and an answer once. */
export type TaskReply = { readonly task: number } & (BackgroundAnswer | { readonly doneBytes: number });
