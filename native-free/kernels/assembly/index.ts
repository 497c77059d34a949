import { prepareCrc } from './crc32c';

export { crc32c, crc32cCopy } from './crc32c';
export { lz4Compress, lz4Decompress } from './lz4';
export { snappyCompress, snappyDecompress } from './snappy';
export { xxhash32 } from './xxhash32';

/** Writes the tables that the kernels read into a workspace; once for each instance, before anything else. */
export function prepare(workspace: usize): void {
  prepareCrc(workspace);
}
