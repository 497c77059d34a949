import { createRequire } from 'node:module';
import { UnsupportedCompressionError } from './record-batch-fault.ts';
import type { Decompress } from './record-batch-reader.ts';

// The codecs of a batch's records, by Kafka's numbers. Zstandard (4) is missing: Node brings it from 22.15 on only, and
// what a log can do must not hang on that.
const GZIP = 1;
const SNAPPY = 2;
const LZ4 = 3;

// Each is loaded with the first batch that wants it. Most threads never see one, and their start does not wait for it.
const require = createRequire(import.meta.url);
const zlib = (): typeof import('node:zlib') => require('node:zlib');
const lz4 = (): typeof import('../../native-free/lz4/index.ts') => require('../../native-free/lz4/index.js');
const snappy = (): typeof import('../../native-free/snappy/index.ts') =>
  require('../../native-free/snappy/index.js');

export const decompress: Decompress = (codec, bytes, limitBytes) => {
  if (codec === GZIP) return zlib().gunzipSync(bytes, { maxOutputLength: limitBytes });
  if (codec === SNAPPY) return snappy().snappyDecompress(bytes, limitBytes);
  if (codec === LZ4) return lz4().lz4DecompressFrame(bytes, limitBytes);
  throw unsupported(codec);
};

/** In the framing that Kafka's Java client writes. */
export function compress(codec: number, bytes: Uint8Array): Uint8Array {
  if (codec === GZIP) return zlib().gzipSync(bytes);
  if (codec === SNAPPY) return snappy().snappyCompressXerial(bytes);
  if (codec === LZ4) return lz4().lz4CompressFrame(bytes);
  throw unsupported(codec);
}

function unsupported(codec: number): UnsupportedCompressionError {
  const name = codec === 4 ? 'zstd' : `codec ${codec}`;
  return new UnsupportedCompressionError(`Records that are compressed with ${name} cannot be read here.`);
}
