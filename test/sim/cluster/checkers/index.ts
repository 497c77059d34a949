import type { Observer, WorldView } from '../observer.ts';
import { Admissions } from './admissions.ts';
import { Answers } from './answers.ts';
import { CommittedByAll } from './committed-by-all.ts';
import { CommittedBytes } from './committed-bytes.ts';
import { Elections } from './elections.ts';
import { EndState } from './end-state.ts';
import { EpochEntries } from './epoch-entries.ts';
import { ExactlyOnce } from './exactly-once.ts';
import { InSyncHasAll } from './in-sync-has-all.ts';
import { OneLeader } from './one-leader.ts';
import { PartitionEpochs } from './partition-epochs.ts';
import { Reads } from './reads.ts';
import { RisingHwm } from './rising-hwm.ts';

export function allCheckers(world: WorldView): Observer[] {
  return [
    new OneLeader(world),
    new RisingHwm(world),
    new CommittedByAll(world),
    new CommittedBytes(world),
    new EpochEntries(world),
    new PartitionEpochs(world),
    new Elections(world),
    new Admissions(world),
    new InSyncHasAll(world),
    new Answers(world),
    new Reads(world),
    new ExactlyOnce(world),
    new EndState(world),
  ];
}
