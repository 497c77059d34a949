import type { TopicConfig } from '../config.ts';
import type { ClosedLog } from './closed-logs.ts';
import { EpochList } from './epoch-list.ts';
import type { OpenFiles } from './open-files.ts';
import { Segment } from './segment.ts';
import { SegmentLog } from './segment-log.ts';

// Logs of which everything is known without a look at their files. Others have to be opened: see open-log.ts.

/**
 * As far as a log has certainly gone, on the device and committed: what both checkpoints say, since neither has a
 * checksum, and damage may have made one of them say more.
 */
export function knownEnd(recoveryPoint = 0, highWatermark = 0): number {
  return Math.min(recoveryPoint, highWatermark);
}

/** The log of a new partition, where there is nothing to be found. */
export function newLog(files: OpenFiles, directory: string, config: TopicConfig): SegmentLog {
  files.disk.makeDirectory(directory);
  return new SegmentLog(files, directory, config, {
    segments: [],
    epochs: new EpochList(),
    areEpochsStale: false,
    logStart: 0,
    leo: 0,
    recoveryPoint: 0,
    isNew: true,
    spares: [],
    names: [],
  });
}

/** A log that was closed, and whose files are what they were then: none of them is opened before it is needed. */
export function resumeLog(
  files: OpenFiles,
  directory: string,
  config: TopicConfig,
  logStart: number,
  { leo, epochs, spares, segments: closed }: ClosedLog,
): SegmentLog {
  const segments = closed.map((known) => {
    const segment = new Segment(files, directory, known.baseOffset, config);
    segment.resume(known);
    return segment;
  });
  return new SegmentLog(files, directory, config, {
    segments,
    epochs: new EpochList(epochs),
    areEpochsStale: false,
    logStart: Math.min(Math.max(logStart, segments[0]?.baseOffset ?? 0), leo),
    leo,
    recoveryPoint: leo,
    isNew: false,
    spares,
    names: undefined,
  });
}
