/** Snappy without a native addon: raw blocks, and the framing around them that Kafka's Java client writes. */
export { CodecError, type CodecErrorCode } from '../kernels/codec-error.ts';
export { snappyCompress, snappyCompressXerial } from './compress.ts';
export { snappyDecompress } from './decompress.ts';
