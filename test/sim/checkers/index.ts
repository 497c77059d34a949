// All invariants. What is cheap is looked at with every event, the rest at the end.
import type { Observer, WorldView } from '../observer.ts';
import { ProposalsOnce, ReadsSeeAll } from './answers.ts';
import { AskedFirst } from './asked-first.ts';
import { CommittedAsMatched } from './committed-as-matched.ts';
import { CommittedByMajority, CommittedInOwnTerm, OneChangeAtATime } from './committed-by-majority.ts';
import { CommittedOnce } from './committed-once.ts';
import { KeptFiles } from './kept-files.ts';
import { KnownVoters } from './known-voters.ts';
import { LeaderCompleteness } from './leader-completeness.ts';
import { LogMatching } from './log-matching.ts';
import { OneLeader } from './one-leader.ts';
import { OneVote } from './one-vote.ts';
import { PersistedFirst } from './persisted-first.ts';
import { RisingTerms } from './rising-terms.ts';
import { SameState } from './same-state.ts';

export function allCheckers(world: WorldView): Observer[] {
  const byMajority = new CommittedByMajority(world);
  const committed = new CommittedOnce(world, (node, entry) => {
    byMajority.first(node, entry);
    proposals.first(node, entry);
  });
  const proposals = new ProposalsOnce(world, committed.ledger);
  const completeness = new LeaderCompleteness(world, committed.ledger);
  return [
    new KeptFiles(world),
    new PersistedFirst(world),
    new RisingTerms(world),
    new OneVote(world),
    new AskedFirst(world),
    new LogMatching(world),
    new OneLeader(world, (_node, voter) => completeness.elected(voter)),
    completeness,
    committed,
    byMajority,
    new CommittedAsMatched(world),
    new CommittedInOwnTerm(world),
    new OneChangeAtATime(world),
    new KnownVoters(world, committed.ledger),
    new SameState(world),
    proposals,
    new ReadsSeeAll(world, proposals),
  ];
}
