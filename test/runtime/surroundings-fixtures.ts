import { randomUUID } from 'node:crypto';
import { systemClock } from '../../src/runtime/clock.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';
import type { BrokerSurroundings } from '../../src/runtime/surroundings.ts';

/** What a broker's thread finds around it. */
export const threadSurroundings: BrokerSurroundings = {
  clock: systemClock,
  newUuid: randomUUID,
  openDisk: (root) => new FileDisk(root),
};
