// Walks over the batches of a segment file that nobody vouches for: at recovery, in `tidemark log verify`, and when a
// sealed segment is checked again in the background. What it calls sound has a header that makes sense, a CRC that
// matches, and offsets and epochs that continue what stands before.
//
// The file is read a window at a time into a memory that the checksum kernel works on in place: one copy for about a
// thousand batches, and then nothing is allocated or copied for a batch, however small.
import { Buffer } from 'node:buffer';
import { crc32c } from '../../native-free/crc32c/index.ts';
import { Kernels, WORKSPACE_BYTES } from '../../native-free/kernels/index.ts';
import { copyBytes } from './copy.ts';
import type { DiskFile } from './disk.ts';
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  CRC_FROM,
  checkBatch,
  nextOffset,
  readBaseOffset,
  readCrc,
  readLeaderEpoch,
  readMaxTimestamp,
  readRecordCount,
} from './record-batch.ts';
import { BatchFault, batchFaultSentence } from './record-batch-fault.ts';

export interface ScanOptions {
  /** Where to begin in the file. */
  readonly position: number;
  /** Where the first batch there begins; with gaps, where it begins at the earliest. */
  readonly offset: number;
  /** Compaction leaves gaps between batches; without it each batch begins exactly where the one before ended. */
  readonly gapsAllowed: boolean;
  /** Stop after about so much, for callers that are throttled. */
  readonly bytesMax?: number;
  /** Every sound batch, in order. `bytes` are valid during the call alone, and so is what a disk has read. */
  readonly batch?: (bytes: Uint8Array, at: number, position: number) => void;
}

export interface ScanResult {
  /** End of the last sound batch; everything before it is sound. */
  readonly position: number;
  readonly nextOffset: number;
  readonly batches: number;
  readonly records: number;
  /** -1 where no batch was sound. */
  readonly maxTimestamp: number;
  /** -1 where no batch was sound. */
  readonly lastEpoch: number;
  /** Why the scan stopped before the end of the file, or undefined where it reached it, or bytesMax. */
  readonly fault: ScanFault | undefined;
}

export interface ScanFault {
  /** 'end-mark': zeros, the end of what was written to a preallocated or recycled file. 'epoch': it goes back. */
  readonly kind: 'end-mark' | 'torn' | 'crc' | 'header' | 'offset' | 'epoch';
  readonly position: number;
  /** With the place in front, and `reason` without it. */
  readonly sentence: string;
  readonly reason: string;
}

/** Few calls a gigabyte, and still within the caches: half of it costs a fifth more, as measured on a real file. */
const WINDOW_BYTES = 1 << 20;
const PAGE_BYTES = 65_536;
/** Offsets in a segment's index are 32-bit differences to its base, so no batch of it lies further on. */
const OFFSETS_MAX = 0x7fff_ffff;
/** Where a batch's magic byte lies, and its value: what a search for batches looks for. */
const MAGIC_AT = 16;
const MAGIC = 2;
/** How much a search may check in vain for each byte of the file, before it takes the next header at its word. */
const SEARCH_EFFORT = 4;

/** A private memory with a kernel over it. */
class Window {
  readonly bytes: Buffer;
  readonly #kernels: Kernels;

  constructor() {
    const pages = Math.ceil((WORKSPACE_BYTES + WINDOW_BYTES) / PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bytes = Buffer.from(memory.buffer, WORKSPACE_BYTES, WINDOW_BYTES);
    this.#kernels = new Kernels(memory, 0);
  }

  /** Puts what the file has there into the window, and returns how much that is. */
  fill(file: DiskFile, position: number): number {
    const read = file.read(position, Math.min(WINDOW_BYTES, file.size - position));
    copyBytes(this.bytes, 0, read);
    return read.length;
  }

  crcMatches(at: number, size: number): boolean {
    const checksum = this.#kernels.crc32c(WORKSPACE_BYTES + at + CRC_FROM, size - CRC_FROM);
    return checksum === readCrc(this.bytes, at);
  }
}

/** A thread's window, while no scan uses it: one that is begun inside another's callback makes its own. */
let idleWindow: Window | undefined;

export function scan(file: DiskFile, options: ScanOptions): ScanResult {
  const window = idleWindow ?? new Window();
  idleWindow = undefined;
  try {
    return new Scanner(file, options, window).run();
  } finally {
    idleWindow = window;
  }
}

class Scanner implements ScanResult {
  readonly #file: DiskFile;
  readonly #options: ScanOptions;
  readonly #window: Window;
  position: number;
  nextOffset: number;
  batches = 0;
  records = 0;
  maxTimestamp = -1;
  lastEpoch = -1;
  fault: ScanFault | undefined = undefined;

  constructor(file: DiskFile, options: ScanOptions, window: Window) {
    this.#file = file;
    this.#options = options;
    this.#window = window;
    this.position = options.position;
    this.nextOffset = options.offset;
  }

  run(): ScanResult {
    const { position: from, bytesMax = Number.MAX_SAFE_INTEGER } = this.#options;
    const end = Math.min(this.#file.size, from + bytesMax);
    while (this.fault === undefined && this.position < end) {
      const held = this.#window.fill(this.#file, this.position);
      if (held === 0) throw new Error(`${this.#file.path} has shrunk while it was scanned`);
      if (!this.#walk(held, end)) this.#takeLarge();
    }
    const { position, nextOffset, batches, records, maxTimestamp, lastEpoch, fault } = this;
    return { position, nextOffset, batches, records, maxTimestamp, lastEpoch, fault };
  }

  /** Takes the batches that lie in the window as a whole; false where not even the first one does. */
  #walk(held: number, end: number): boolean {
    const { bytes } = this.#window;
    const start = this.position;
    let at = 0;
    while (at < held && this.position < end) {
      const fault = checkBatch(bytes, at, held - at, Number.MAX_SAFE_INTEGER);
      const isCut = fault === BatchFault.BODY_CUT || fault === BatchFault.HEADER_CUT;
      // What the window cuts off is whole in one that begins here; what the file cuts off is a fault.
      if (isCut && start + held < this.#file.size) return at > 0;
      if (fault !== 0) {
        this.#stopAtHeader(fault, bytes.subarray(at, Math.min(held, at + BATCH_HEADER_BYTES)));
        return true;
      }
      if (!this.#continues(bytes, at)) return true;
      const size = batchBytes(bytes, at);
      if (!this.#window.crcMatches(at, size)) {
        this.#stopAtCrc(bytes, at);
        return true;
      }
      this.#take(bytes, at);
      at += size;
    }
    return true;
  }

  /**
   * A batch that is larger than the window. Its length is not to be trusted before its CRC was checked, so that is
   * done in pieces; only a sound batch is read as a whole.
   */
  #takeLarge(): void {
    const file = this.#file;
    const { bytes } = this.#window;
    const fault = checkBatch(bytes, 0, file.size - this.position, Number.MAX_SAFE_INTEGER);
    if (fault !== 0) {
      this.#stopAtHeader(fault, bytes.subarray(0, BATCH_HEADER_BYTES));
      return;
    }
    if (!this.#continues(bytes, 0)) return;
    if (!crcMatchesInPieces(file, this.position, batchBytes(bytes, 0), readCrc(bytes, 0))) {
      this.#stopAtCrc(bytes, 0);
    } else if (this.#options.batch === undefined) {
      this.#take(bytes, 0);
    } else {
      this.#take(file.read(this.position, batchBytes(bytes, 0)), 0);
    }
  }

  #take(bytes: Uint8Array, at: number): void {
    this.#options.batch?.(bytes, at, this.position);
    this.batches += 1;
    this.records += readRecordCount(bytes, at);
    this.maxTimestamp = Math.max(this.maxTimestamp, readMaxTimestamp(bytes, at));
    this.lastEpoch = readLeaderEpoch(bytes, at);
    this.nextOffset = nextOffset(bytes, at);
    this.position += batchBytes(bytes, at);
  }

  #continues(bytes: Uint8Array, at: number): boolean {
    const base = readBaseOffset(bytes, at);
    if (base !== this.nextOffset && !(this.#options.gapsAllowed && base > this.nextOffset)) {
      const wanted = `${this.#options.gapsAllowed ? 'at least ' : ''}${this.nextOffset}`;
      this.#stop('offset', `The batch begins at offset ${base}, where ${wanted} was expected.`);
      return false;
    }
    const epoch = readLeaderEpoch(bytes, at);
    if (epoch < this.lastEpoch) {
      const sentence = `The batch at offset ${base} has leader epoch ${epoch}, after one of ${this.lastEpoch}.`;
      this.#stop('epoch', sentence);
      return false;
    }
    return true;
  }

  #stopAtHeader(fault: BatchFault, header: Uint8Array): void {
    if (header.every((byte) => byte === 0)) {
      this.#stop('end-mark', `Zeros follow the last batch, which ends at offset ${this.nextOffset}.`);
      return;
    }
    const isTorn = fault === BatchFault.BODY_CUT || fault === BatchFault.HEADER_CUT;
    const sentence = isTorn
      ? `The file ends within the batch that should begin at offset ${this.nextOffset}.`
      : batchFaultSentence(fault);
    this.#stop(isTorn ? 'torn' : 'header', sentence);
  }

  #stopAtCrc(bytes: Uint8Array, at: number): void {
    const offsets = `${readBaseOffset(bytes, at)} to ${nextOffset(bytes, at) - 1}`;
    this.#stop('crc', `The batch of offsets ${offsets} does not match its CRC.`);
  }

  #stop(kind: ScanFault['kind'], reason: string): void {
    const { position } = this;
    this.fault = { kind, position, sentence: `${this.#file.path}, byte ${position}: ${reason}`, reason };
  }
}

function crcMatchesInPieces(file: DiskFile, position: number, size: number, wanted: number): boolean {
  let checksum = 0;
  for (let at = CRC_FROM; at < size; at += WINDOW_BYTES) {
    checksum = crc32c(file.read(position + at, Math.min(WINDOW_BYTES, size - at)), checksum);
  }
  return checksum === wanted;
}

/**
 * Where a sound batch begins, at or behind `from`, that continues a log which ends at `offset`: damage in the middle
 * of a log, rather than a torn tail. Whoever asks means to cut what lies behind, so doubt speaks against that: where
 * too much looked like a batch without being one, the next that looks like one is taken for it.
 */
export function findSoundBatch(file: DiskFile, from: number, offset: number): number | undefined {
  let effortBytes = SEARCH_EFFORT * Math.max(WINDOW_BYTES, file.size - from);
  // Windows overlap by a header less one byte, so that each header lies as a whole in one of them.
  const step = WINDOW_BYTES - BATCH_HEADER_BYTES + 1;
  for (let start = from; start + BATCH_HEADER_BYTES <= file.size; start += step) {
    // A copy, because the check of a candidate reads from the same disk.
    const bytes = Buffer.from(file.read(start, Math.min(WINDOW_BYTES, file.size - start)));
    const last = bytes.length - BATCH_HEADER_BYTES;
    for (let magicAt = bytes.indexOf(MAGIC, MAGIC_AT); magicAt >= 0; ) {
      const at = magicAt - MAGIC_AT;
      if (at > last) break;
      if (isPlausible(bytes, at, file.size - start - at, offset)) {
        const size = batchBytes(bytes, at);
        effortBytes -= size;
        if (effortBytes < 0 || crcMatchesInPieces(file, start + at, size, readCrc(bytes, at))) {
          return start + at;
        }
      }
      magicAt = bytes.indexOf(MAGIC, magicAt + 1);
    }
  }
  return undefined;
}

function isPlausible(bytes: Uint8Array, at: number, available: number, offset: number): boolean {
  if (checkBatch(bytes, at, available, Number.MAX_SAFE_INTEGER) !== 0) return false;
  const base = readBaseOffset(bytes, at);
  return base >= offset && base - offset <= OFFSETS_MAX;
}
