// Single-line faults, each in one module of the product, which the simulator has to find. They are planted into a copy of
// what was built (planted-tree.ts), so that nothing of this is in the product.

export interface PlantedFault {
  /** What goes wrong, in a sentence. */
  readonly name: string;
  /** Below src, without its ending. */
  readonly module: string;
  /** Stands in the compiled module exactly once. */
  readonly find: string;
  readonly replace: string;
}

export const plantedFaults: readonly PlantedFault[] = [
  {
    name: 'a voter votes twice in a term',
    module: 'core/raft/election',
    find: 'isCurrent && isVoteFree && isUpToDate && !isNeedless',
    replace: 'isCurrent && isUpToDate && !isNeedless',
  },
  {
    name: 'a vote is given and not persisted',
    module: 'core/raft/roles',
    find: 'state.vote = candidate;\n    saveHardState(state, out);',
    replace: 'state.vote = candidate;',
  },
  {
    name: 'a new term is not persisted',
    module: 'core/raft/roles',
    find: 'state.vote = undefined;\n    saveHardState(state, out);',
    replace: 'state.vote = undefined;',
  },
  {
    name: 'a candidate is not asked how long its log is',
    module: 'core/raft/raft-log',
    find: 'lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)',
    replace: 'true',
  },
  {
    name: 'a voter stands for election without asking first',
    module: 'core/raft/election',
    find: 'export function campaign(state, out) {',
    replace:
      'export function campaign(state, out) {\n    if (state.configuration.voters.length > 1) return stand(state, false, out);',
  },
  {
    name: 'an entry of an earlier term is committed by counting',
    module: 'core/raft/replication',
    find: 'if (state.log.termAt(index) !== state.term)',
    replace: 'if (state.log.termAt(index) === undefined)',
  },
  {
    name: 'an append is accepted without looking at what it follows',
    module: 'core/raft/follower',
    find: 'isBelowCommit || log.termAt(message.prevIndex) === message.prevTerm',
    replace: 'isBelowCommit || log.termAt(message.prevIndex) !== undefined',
  },
  {
    name: 'an append of an earlier term is accepted',
    module: 'core/raft/raft-node',
    find: 'if (message.term < state.term) {',
    replace: "if (message.term < state.term && message.kind !== 'append') {",
  },
  {
    name: 'a log is cut where nothing contradicts it',
    module: 'core/raft/storage',
    find: 'entry.index <= log.lastIndex && log.termAt(entry.index) !== entry.term',
    replace: 'entry.index <= log.lastIndex',
  },
  {
    name: 'a majority is one too few',
    module: 'core/raft/quorum',
    find: 'Math.floor(count / 2) + 1',
    replace: 'Math.ceil(count / 2)',
  },
  {
    name: 'a heartbeat tells everybody the commit of the leader',
    module: 'core/raft/replication',
    find: 'commit: Math.min(commit, match)',
    replace: 'commit',
  },
  {
    name: 'who has no vote yet counts for a commit',
    module: 'core/raft/replication',
    find: 'reachedByMajority(state.valuesOfVoters(state.log.lastIndex, ({ match }) => match))',
    replace:
      'reachedByMajority([state.log.lastIndex, ...[...(state.reign?.peers.values() ?? [])].map(({ match }) => match)])',
  },
  {
    name: 'a snapshot comes without its configuration',
    module: 'core/raft/storage',
    find: 'configurations.restart(snapshot.index, snapshot.configuration);',
    replace: 'configurations.restart(snapshot.index, configurations.latest);',
  },
  {
    name: 'voters change again before the last change is committed',
    module: 'core/raft/membership',
    find: 'commit < reign.termStart || configurations.latestIndex > commit',
    replace: 'false',
  },
  {
    name: 'a read is answered without asking whether somebody else leads',
    module: 'core/raft/replication',
    find: 'index === undefined || round > confirmed',
    replace: 'index === undefined',
  },
  {
    name: 'a read does not wait for an entry of the term',
    module: 'core/raft/leader',
    find: 'commit >= reign.termStart ? commit : undefined',
    replace: 'commit',
  },
  {
    name: 'a host sends before it has persisted',
    module: 'runtime/voter',
    find: 'await this.#setup.store.persist(out.persist);',
    replace:
      'for (const message of out.messages.splice(0)) this.#setup.send(message);\n            await this.#setup.store.persist(out.persist);',
  },
  {
    name: 'a host answers a proposal as soon as it has a place',
    module: 'runtime/voter',
    find: 'this.#placed.set(result.index, { term: result.term, request });',
    replace: 'request.resolve({ index: result.index, term: result.term });',
  },
  {
    name: 'a store does not wait for the device',
    module: 'log/quorum-store',
    find: 'if (this.#settings.isDurable)\n            await log.sync();',
    replace: '',
  },
  {
    name: 'a store forgets to cut what contradicts its leader',
    module: 'log/quorum-store',
    find: 'log.truncateTo(truncateFrom);',
    replace: 'log.truncateTo(truncateFrom + 1);',
  },
];

interface KnownFault extends PlantedFault {
  /** One that has shown it; not the first of all, if another one is quicker. */
  readonly seed: number;
}

/** The same, for whole clusters. */
export const clusterFaults: readonly KnownFault[] = [
  {
    name: 'a batch is acknowledged before the HWM has passed it',
    seed: 1,
    module: 'runtime/client-link',
    find: "const waiter = acks === 0 ? NOBODY : this.#client;\n        const waitsFor = acks === 1 ? 'stable' : 'committed';",
    replace: "const waiter = acks === 0 ? NOBODY : this.#client;\n        const waitsFor = 'stable';",
  },
  {
    name: 'the HWM does not wait for whom the leader has proposed',
    seed: 5,
    module: 'core/replica',
    find: 'if (!this.isAwaited(follower))',
    replace: 'if (false)',
  },
  {
    name: 'a reign begins without an entry',
    seed: 1,
    module: 'core/partition-leader',
    find: 'log.beginEpoch(info.epoch);',
    replace: '',
  },
  {
    name: 'the first replica that is in sync is elected, dead or not',
    seed: 1,
    module: 'core/metadata/election',
    find: 'replicas.find((id) => isr.includes(id) && this.canLead(id, partition))',
    replace: 'replicas.find((id) => isr.includes(id))',
  },
  {
    name: 'the first replica is elected, in sync or not',
    seed: 2,
    module: 'core/metadata/election',
    find: 'replicas.find((id) => isr.includes(id) && this.canLead(id, partition))',
    replace: 'replicas.find((id) => this.canLead(id, partition))',
  },
  {
    name: 'an emptied replica stays in the ISR',
    seed: 226,
    module: 'core/metadata/decide-brokers',
    find: 'withDirectory(partition, id, before?.directoryId, directoryId)',
    replace: 'withDirectory(partition, id, directoryId, directoryId)',
  },
  {
    name: 'what a lapped reader has taken is kept',
    seed: 1,
    module: 'log/segment',
    find: 'guard === undefined || guard.intactSince(guardFrom)',
    replace: 'true',
  },
  {
    name: 'a read goes beyond the HWM',
    seed: 1,
    module: 'runtime/client-link',
    find: 'log.read(fetch.offset, fetch.maxBytes, replica.hwm)',
    replace: 'log.read(fetch.offset, fetch.maxBytes, log.written)',
  },
  {
    name: 'the HWM rises while too few are in sync',
    seed: 1,
    module: 'core/replica',
    find: 'if (!this.hasEnoughInSync)\n            return this.hwm;',
    replace: '',
  },
  {
    name: 'an LEO is published before the device has what lies below it',
    seed: 2,
    module: 'runtime/durable-logs',
    find: 'if (this.#groups === undefined)\n            this.#settle',
    replace: 'if (true)\n            this.#settle',
  },
  {
    name: 'a smaller ISR is gone by before it is written down',
    seed: 12,
    module: 'runtime/broker',
    find: '({ id, info }, followers) => this.#notify',
    replace:
      '({ id, info }, followers) => this.replicas[id].become({ ...info, isr: info.isr.filter((each) => !followers.includes(each)) }) ?? this.#notify',
  },
  {
    name: 'a batch that is in the log already is taken for the next one',
    seed: 1,
    module: 'api/00-produce',
    find: "case 'duplicate':\n            return 'DUPLICATE_SEQUENCE_NUMBER';",
    replace: "case 'duplicate':\n            return 'NONE';",
  },
  {
    name: 'the sequence numbers of producers are forgotten at a restart',
    seed: 1,
    module: 'log/producer-log',
    find: 'this.#states = this.#statesAt(this.#log.written);',
    replace: 'this.#states = new ProducerStates();',
  },
  {
    name: 'what the scan of a segment has told of producers is passed over',
    seed: 1,
    module: 'log/producer-log',
    find: 'found.goOn(later, scannedTo);',
    replace: 'void later;',
  },
  {
    name: 'what producers have written behind the newest snapshot is not looked at',
    seed: 141,
    module: 'log/producer-log',
    find: 'found.note(batch);',
    replace: 'void batch;',
  },
  {
    name: 'a follower takes no note of sequence numbers',
    seed: 1,
    module: 'log/segment-log',
    find: 'for (const batch of staged.produced)\n            this.producers.note(batch);',
    replace: '',
  },
  {
    name: 'who speaks of an earlier reign is served',
    seed: 17,
    module: 'core/partition-leader',
    find: 'if (epoch < info.epoch)',
    replace: 'if (false)',
  },
  {
    name: 'a follower cuts its log to the HWM instead of by epoch',
    seed: 2,
    module: 'core/partition-follower',
    find: "    return {\n        id,\n        epoch: info.epoch,\n        leo: log.leo,\n        lastEpoch: source === 'unproven' ? log.lastEpoch : undefined,",
    replace:
      "    if (source === 'unproven' && log.leo > replica.hwm) {\n        log.truncateTo(Math.max(log.logStart, replica.hwm));\n        replica.restart();\n    }\n    return {\n        id,\n        epoch: info.epoch,\n        leo: log.leo,\n        lastEpoch: undefined,",
  },
  {
    name: 'a replica is admitted without looking at where its leader began to reign',
    seed: 9,
    module: 'core/partition-leader',
    find: 'if (leo < replica.reignStart)',
    replace: 'if (false)',
  },
  {
    name: 'a replica that has left goes on with the ring',
    seed: 102,
    module: 'runtime/replica-roles',
    find: 'host.catchUp.leave(replica);',
    replace: 'host.catchUp.forget(replica);',
  },
];
