import { prepareCrc } from './crc32c';

export { crc32c } from './crc32c';

/** Writes the tables that the kernels read into a workspace; once for each instance, before anything else. */
export function prepare(workspace: usize): void {
  prepareCrc(workspace);
}
