import { gunzipSync, gzipSync } from 'node:zlib';
import { lz4CompressFrame, lz4DecompressFrame } from '../../native-free/lz4/index.ts';
import { snappyCompressXerial, snappyDecompress } from '../../native-free/snappy/index.ts';
import { UnsupportedCompressionError } from './record-batch-fault.ts';
import type { Decompress } from './record-batch-reader.ts';

// The codecs of a batch's records, by Kafka's numbers. Zstandard (4) is missing: Node brings it from 22.15 on only, and
// what a log can do must not hang on that.
const GZIP = 1;
const SNAPPY = 2;
const LZ4 = 3;

export const decompress: Decompress = (codec, bytes, limitBytes) => {
  if (codec === GZIP) return gunzipSync(bytes, { maxOutputLength: limitBytes });
  if (codec === SNAPPY) return snappyDecompress(bytes, limitBytes);
  if (codec === LZ4) return lz4DecompressFrame(bytes, limitBytes);
  throw unsupported(codec);
};

/** In the framing that Kafka's Java client writes. */
export function compress(codec: number, bytes: Uint8Array): Uint8Array {
  if (codec === GZIP) return gzipSync(bytes);
  if (codec === SNAPPY) return snappyCompressXerial(bytes);
  if (codec === LZ4) return lz4CompressFrame(bytes);
  throw unsupported(codec);
}

function unsupported(codec: number): UnsupportedCompressionError {
  const name = codec === 4 ? 'zstd' : `codec ${codec}`;
  return new UnsupportedCompressionError(`Records that are compressed with ${name} cannot be read here.`);
}
