// What a broker's logs were when it ended clean: its next start believes this of each log whose files nobody has touched
// since, and opens none of them before it is needed. Kafka knows no such file. It saves time and says nothing that the
// logs do not say, so whatever is wrong with it, it counts as missing.
//
//   | version | CRC-32C of the lines that follow | as JSON, with the end of the line
//   | a log, as JSON                             | a line each
import { Buffer } from 'node:buffer';
import { crc32cByTable } from '../../native-free/crc32c/index.ts';
import type { EpochStart } from './epoch-list.ts';

const VERSION = 1;
const LINE_END = 10;

export interface ClosedSegment {
  readonly baseOffset: number;
  readonly bytes: number;
  readonly nextOffset: number;
  /** Where they are known: nobody looks into a file for them. */
  readonly firstTimestamp?: number | undefined;
  readonly maxTimestamp?: number | undefined;
}

/** A log that is closed: all of it is on the device, cut to its end, and indexed. */
export interface ClosedLog {
  readonly leo: number;
  readonly segments: readonly ClosedSegment[];
  readonly epochs: readonly EpochStart[];
  /** Files that segments have left, within the broker's directory. */
  readonly spares: readonly string[];
}

/** Of files: as long as theirs is the same, nobody has touched them. */
export type FileStamp = readonly number[];

/** A log in a broker's directory. */
export interface NamedClosedLog extends ClosedLog {
  /** The partition's, on the disk. */
  readonly directory: string;
  readonly topicId: string;
  readonly stamp: FileStamp;
}

export function encodeClosedLogs(logs: readonly NamedClosedLog[]): Buffer {
  const lines = Buffer.from(logs.map((log) => `${JSON.stringify(log)}\n`).join(''));
  const head = { version: VERSION, crc32c: crc32cByTable(lines, 0) };
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), lines]);
}

/** None where the file is damaged or another version's. */
export function decodeClosedLogs(bytes: Buffer): NamedClosedLog[] {
  const lines = bytes.subarray(bytes.indexOf(LINE_END) + 1);
  const head = `{"version":${VERSION},"crc32c":${crc32cByTable(lines, 0)}}\n`;
  if (bytes.length - lines.length !== head.length || !bytes.toString('latin1').startsWith(head)) return [];
  return lines
    .toString()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as NamedClosedLog);
}
