import { isUtf8 } from 'node:buffer';
import { dirname } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  CheckpointError,
  CLEAN_SHUTDOWN_FILE,
  CLEANER_OFFSETS_FILE,
  decodeCleanShutdown,
  decodeEpochs,
  decodeMetaProperties,
  decodeOffsets,
  decodePartitionMetadata,
  HIGH_WATERMARKS_FILE,
  LOG_STARTS_FILE,
  META_PROPERTIES_FILE,
  PARTITION_METADATA_FILE,
  RECOVERY_POINTS_FILE,
  readWhole,
} from '../log/checkpoint-files.ts';
import { decompress } from '../log/codecs.ts';
import type { Disk } from '../log/disk.ts';
import { EPOCHS_FILE, INDEX_SUFFIX, LOG_SUFFIX, segmentFile } from '../log/file-names.ts';
import { offsetEntries, timeEntries } from '../log/index-check.ts';
import { segmentBases } from '../log/inspection.ts';
import {
  BatchAttribute,
  batchBytes,
  codecOf,
  isControl,
  nextOffset,
  readAttributes,
  readBaseOffset,
  readBaseSequence,
  readBaseTimestamp,
  readLeaderEpoch,
  readMaxTimestamp,
  readProducerEpoch,
  readProducerId,
  readRecordCount,
} from '../log/record-batch.ts';
import { readRecords } from '../log/record-batch-reader.ts';
import { type Damage, walkSegment } from '../log/segment-walk.ts';
import { FileDisk } from '../runtime/file-disk.ts';
import { CommandError, ExitCode, type Terminal } from './command-line.ts';
import { dumpChecked, dumpEntry, dumpSnapshot, isCheckedFile, isSnapshotFile } from './log-dump-metadata.ts';
import { dumpProducers, isProducersFile } from './log-dump-producers.ts';
import { classify, type FilePath, isMetadataLog, type LogDirectory } from './log-paths.ts';
import { Output } from './output.ts';

interface DumpOptions {
  readonly from: number;
  readonly limit: number;
  readonly records?: true;
  readonly json?: true;
}

const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
/** Of a key or a value, where people read it. */
const SHOWN_BYTES = 120;

export function logDumpCommand(terminal: Terminal, done: (code: ExitCode) => void): Command {
  return new Command('dump')
    .description('print what a log holds: batches, records, index entries, checkpoints')
    .argument('<path>', "a segment file, an index, a checkpoint, or a partition's directory")
    .option('--from <offset>', 'begin with the batch that holds this offset', wholeNumber, 0)
    .addOption(
      new Option('--limit <batches>', 'print no more than so many batches, or entries')
        .argParser(wholeNumber)
        .default(Number.MAX_SAFE_INTEGER, 'all'),
    )
    .option('--records', 'print the records of each batch too; those compressed with zstd are not decoded')
    .option('--json', 'a JSON object a line, for programs')
    .addHelpText('after', '\nNothing is changed. Exits with 1 where something in the file is damaged.')
    .action((path: string, options: DumpOptions) => {
      const output = new Output(terminal, options.json === true);
      const isSound = dump(path, options, output);
      output.flush();
      done(isSound ? ExitCode.FINE : ExitCode.FINDINGS);
    });
}

function wholeNumber(text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number))
    throw new InvalidArgumentError('It must be a whole number.');
  return number;
}

/** False where something is damaged. */
function dump(path: string, options: DumpOptions, output: Output): boolean {
  const target = classify(path);
  if (target.kind === 'file') return dumpFile(target, options, output);
  if (target.kind !== 'partition') {
    const { partitions } = target;
    const example = partitions.find((name) => !isMetadataLog(name)) ?? partitions[0] ?? 'orders-0';
    throw new CommandError(
      `${path} holds several logs: dump one of them, such as ${path.replace(/\/$/, '')}/${example}.`,
    );
  }
  return dumpPartition(target, options, output);
}

function dumpPartition({ root, partitions }: LogDirectory, options: DumpOptions, output: Output): boolean {
  const disk = new FileDisk(root);
  const [directory] = partitions;
  const bases = segmentBases(disk, directory);
  if (bases.length === 0) output.line(`${directory} is empty: it has no segment yet.`, { segments: 0 });
  const first = Math.max(
    0,
    bases.findLastIndex((base) => base <= options.from),
  );
  let left = options.limit;
  let isSound = true;
  for (let n = first; n < bases.length && left > 0; n++) {
    const path = `${directory}/${segmentFile(bases[n], LOG_SUFFIX)}`;
    output.line(path, { segment: path, baseOffset: bases[n] });
    const shown = dumpSegment(disk, path, bases[n], bases[n + 1], { ...options, limit: left }, output);
    left -= shown.batches;
    isSound &&= shown.isSound;
    if (n === bases.length - 1) tellEnd(shown.nextOffset, options, output);
  }
  return isSound;
}

/** Nothing that is printed would say so. */
function tellEnd(endOffset: number, { from, limit }: DumpOptions, output: Output): void {
  if (limit === 0 || from < endOffset) return;
  output.line(`It ends at offset ${endOffset} (exclusive), and nothing lies from ${from} on.`, { endOffset });
}

function dumpFile({ directory, name, segment }: FilePath, options: DumpOptions, output: Output): boolean {
  const disk = new FileDisk(directory);
  if (segment === undefined) return dumpSmallFile(disk, name, output);
  if (segment.suffix === LOG_SUFFIX) {
    const shown = dumpSegment(disk, name, segment.baseOffset, undefined, options, output);
    tellEnd(shown.nextOffset, options, output);
    return shown.isSound;
  }
  const bytes = readWhole(disk, name) ?? Buffer.alloc(0);
  const isOffsets = segment.suffix === INDEX_SUFFIX;
  if (isOffsets) {
    const entries = offsetEntries(bytes, segment.baseOffset).filter(({ offset }) => offset >= options.from);
    for (const entry of entries.slice(0, options.limit)) {
      output.line(`offset ${entry.offset}  position ${entry.position}`, entry);
    }
  } else {
    const entries = timeEntries(bytes, segment.baseOffset).filter(({ offset }) => offset >= options.from);
    for (const entry of entries.slice(0, options.limit)) {
      output.line(`timestamp ${entry.timestamp} (${time(entry.timestamp)})  offset ${entry.offset}`, entry);
    }
  }
  const over = bytes.length % (isOffsets ? 8 : 12);
  if (over === 0) return true;
  const sentence = `The file ends within an entry, ${over} bytes behind the last whole one.`;
  output.line(sentence, { damage: sentence, position: bytes.length - over });
  return false;
}

/** The batches that were shown, where the segment ends if nothing kept it from being gone through, and whether all that was gone through was sound. */
function dumpSegment(
  disk: Disk,
  path: string,
  baseOffset: number,
  endOffset: number | undefined,
  options: DumpOptions,
  output: Output,
): { batches: number; isSound: boolean; nextOffset: number } {
  const file = disk.open(path);
  const isMetadata = isMetadataLog(dirname(disk.locate(path)));
  let batches = 0;
  let isSound = true;
  try {
    const walked = walkSegment(file, {
      baseOffset,
      endOffset,
      // Whether offsets may be missing is for `log verify` to say: a dump shows which there are.
      gapsAllowed: true,
      batch: (bytes, at, position) => {
        if (batches >= options.limit || nextOffset(bytes, at) <= options.from) return;
        batches += 1;
        dumpBatch(bytes, at, position, output);
        const isEntry = isMetadata && dumpEntry(bytes, at, options.records === true, output);
        if (!isEntry && options.records) dumpRecords(bytes, at, options.from, output);
      },
      damage: (damage) => {
        if (batches >= options.limit) return;
        isSound = false;
        dumpDamage(damage, output);
      },
      goOn: () => batches < options.limit,
    });
    if (walked.unusedBytes > 0 && batches < options.limit) {
      const { unusedBytes } = walked;
      output.line(`(${unusedBytes} bytes behind the last batch are not used)`, { unusedBytes });
    }
    return { batches, isSound, nextOffset: walked.nextOffset };
  } finally {
    file.close();
  }
}

function dumpBatch(bytes: Uint8Array, at: number, position: number, output: Output): void {
  const attributes = readAttributes(bytes, at);
  const values = {
    position,
    baseOffset: readBaseOffset(bytes, at),
    lastOffset: nextOffset(bytes, at) - 1,
    records: readRecordCount(bytes, at),
    epoch: readLeaderEpoch(bytes, at),
    baseTimestamp: readBaseTimestamp(bytes, at),
    maxTimestamp: readMaxTimestamp(bytes, at),
    timestampType: (attributes & BatchAttribute.LOG_APPEND_TIME) === 0 ? 'CreateTime' : 'LogAppendTime',
    codec: codecNames[codecOf(attributes)],
    bytes: batchBytes(bytes, at),
    producerId: readProducerId(bytes, at),
    producerEpoch: readProducerEpoch(bytes, at),
    baseSequence: readBaseSequence(bytes, at),
    isTransactional: (attributes & BatchAttribute.TRANSACTIONAL) !== 0,
    isControl: isControl(attributes),
    crc: 'ok',
  };
  const producer =
    values.producerId < 0
      ? ''
      : `  producer ${values.producerId}/${values.producerEpoch} from sequence ${values.baseSequence}`;
  const flags = `${values.isTransactional ? '  transactional' : ''}${values.isControl ? '  control' : ''}`;
  const span =
    values.baseTimestamp === values.maxTimestamp
      ? time(values.maxTimestamp)
      : `${time(values.baseTimestamp)} to ${time(values.maxTimestamp)}`;
  output.line(
    `position ${position}  offsets ${values.baseOffset} to ${values.lastOffset}  records ${values.records}  epoch ${values.epoch}  ` +
      `${values.timestampType} ${span}  codec ${values.codec}  ${values.bytes} bytes${producer}${flags}  crc ok`,
    values,
  );
}

function dumpRecords(bytes: Uint8Array, at: number, from: number, output: Output): void {
  const end = at + batchBytes(bytes, at);
  try {
    readRecords(
      bytes,
      at,
      end,
      (offset, timestamp, key, value, headers) => {
        const named = headers.map(([name, data]) => `  header ${name}=${shown(data)}`).join('');
        output.line(
          `  offset ${offset}  ${time(timestamp)}  key ${shown(key)}  value ${shown(value)}${named}`,
          {
            offset,
            timestamp,
            ...field('key', key),
            ...field('value', value),
            headers: headers.map(([name, data]) => ({ name, ...field('value', data) })),
          },
        );
      },
      { decompress, includeControl: true, fromOffset: from },
    );
  } catch (error) {
    // Its CRC is right, so the file is as it was written: the producer has made it so, or the codec is not known.
    const { message } = error as Error;
    output.line(`  (records not decoded: ${message})`, { notDecoded: message });
  }
}

function dumpDamage({ kind, position, bytes, fromOffset, toOffset, sentence }: Damage, output: Output): void {
  const end = toOffset === -1 ? '' : ` to ${toOffset - 1}`;
  const missing = kind === 'lost' || kind === 'end' ? `, offsets ${fromOffset}${end} are missing` : '';
  output.line(`position ${position}  DAMAGED: ${bytes} bytes${missing}. ${sentence}`, {
    position,
    damage: sentence,
    bytes,
    fromOffset,
    toOffset,
  });
}

type Decode = (path: string, bytes: Uint8Array) => unknown;

const smallFiles: ReadonlyMap<string, Decode> = new Map<string, Decode>([
  [EPOCHS_FILE, decodeEpochs],
  [RECOVERY_POINTS_FILE, decodeOffsets],
  [LOG_STARTS_FILE, decodeOffsets],
  [HIGH_WATERMARKS_FILE, decodeOffsets],
  [CLEANER_OFFSETS_FILE, decodeOffsets],
  [META_PROPERTIES_FILE, decodeMetaProperties],
  [PARTITION_METADATA_FILE, (path, bytes) => ({ topicId: decodePartitionMetadata(path, bytes) })],
  [CLEAN_SHUTDOWN_FILE, (path, bytes) => ({ brokerEpoch: decodeCleanShutdown(path, bytes) })],
]);

function dumpSmallFile(disk: Disk, name: string, output: Output): boolean {
  const bytes = readWhole(disk, name) ?? Buffer.alloc(0);
  if (isSnapshotFile(name)) return dumpSnapshot(name, bytes, output);
  if (isProducersFile(name)) return dumpProducers(disk.locate(name), bytes, output);
  if (isCheckedFile(name)) return dumpChecked(disk.locate(name), bytes, output);
  const decode = smallFiles.get(name);
  if (decode === undefined) {
    throw new CommandError(
      `${disk.locate(name)} is no file of a log: expected one such as ${'0'.repeat(20)}${LOG_SUFFIX}, .index, .timeindex or .snapshot, or one of ${[...smallFiles.keys()].join(', ')}.`,
    );
  }
  try {
    const content = decode(disk.locate(name), bytes);
    for (const entry of [content].flat() as object[]) {
      output.line(
        Object.entries(entry)
          .map(([key, value]) => `${spaced(key)} ${value}`)
          .join('  '),
        entry,
      );
    }
    return true;
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    output.line(error.message, { damage: error.message });
    return false;
  }
}

/** startOffset becomes "start offset". */
function spaced(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function time(timestamp: number): string {
  const isDate = timestamp >= 0 && timestamp <= 8.64e15;
  return isDate ? new Date(timestamp).toISOString() : String(timestamp);
}

/** Text in quotes where it is text, bytes in hexadecimal where it is none. */
function shown(data: Uint8Array | null): string {
  if (data === null) return 'null';
  const bytes = data.subarray(0, SHOWN_BYTES);
  const rest = data.length > bytes.length ? `... (${data.length} bytes)` : '';
  if (isUtf8(data))
    return `${JSON.stringify(Buffer.from(data).toString('utf8').slice(0, SHOWN_BYTES))}${rest}`;
  return `0x${Buffer.from(bytes).toString('hex')}${rest}`;
}

/** Whole, and under a name that says how. */
function field(name: string, data: Uint8Array | null): object {
  if (data === null) return { [name]: null };
  if (isUtf8(data)) return { [name]: Buffer.from(data).toString('utf8') };
  return { [`${name}Base64`]: Buffer.from(data).toString('base64') };
}
