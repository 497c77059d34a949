/** LZ4 without a native addon: blocks, and the frames that Kafka's clients put batches in. */
export { CodecError, type CodecErrorCode } from '../kernels/codec-error.ts';
export { lz4CompressBlock, lz4DecompressBlock } from './block.ts';
export { lz4CompressFrame } from './compress-frame.ts';
export { lz4DecompressFrame } from './decompress-frame.ts';
