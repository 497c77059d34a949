// What a partition knew of its idempotent producers at one offset, as people read it.
import { baseOffsetOf, SNAPSHOT_SUFFIX } from '../log/file-names.ts';
import { decodeProducers } from '../log/producer-snapshot.ts';
import type { Output } from './output.ts';

export function isProducersFile(name: string): boolean {
  return baseOffsetOf(name, SNAPSHOT_SUFFIX) !== undefined;
}

/** A line for each producer: where it is, and each of the batches that would be known if they came again. */
export function dumpProducers(path: string, bytes: Buffer, output: Output): boolean {
  const found = decodeProducers(bytes);
  if (found === undefined) {
    const damage = `${path} is damaged: its checksum or its numbers are not those of a snapshot of producers.`;
    output.line(damage, { damage });
    return false;
  }
  for (const [producerId, { epoch, batches }] of found.states.entries()) {
    const shown = batches.map(({ firstSequence, baseOffset, nextOffset }) => ({
      firstSequence,
      baseOffset,
      lastOffset: nextOffset - 1,
    }));
    const text = shown.map(
      ({ firstSequence, baseOffset, lastOffset }) =>
        `  offsets ${baseOffset} to ${lastOffset} from sequence ${firstSequence}`,
    );
    output.line(`producer ${producerId}/${epoch}${text.join('')}`, {
      producerId,
      producerEpoch: epoch,
      batches: shown,
    });
  }
  return true;
}
