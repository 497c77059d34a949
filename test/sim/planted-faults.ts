// Single-line faults, each in one module of the product, which the simulator has to find. They are planted into the
// compiled text of the module while it is loaded (plant-fault.ts), so that nothing of this is in the product.

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

/** The same, for whole clusters. */
export const clusterFaults: readonly PlantedFault[] = [
  {
    name: 'a follower cuts its log to the HWM instead of by epoch',
    module: 'runtime/catch-up',
    find: "replica.source = 'unproven';\n        this.want(replica);",
    replace:
      "if (replica.log.leo > replica.hwm)\n            replica.log.truncateTo(replica.hwm);\n        replica.restart();\n        replica.source = 'log';\n        this.want(replica);",
  },
  {
    name: 'a batch is acknowledged before the HWM has passed it',
    module: 'runtime/client-link',
    find: "acks === 1 ? 'stable' : 'committed'",
    replace: "'stable'",
  },
  {
    name: 'the HWM does not wait for whom the leader has proposed',
    module: 'core/replica',
    find: 'if (!this.isAwaited(follower))',
    replace: 'if (false)',
  },
  {
    name: 'a reign begins without an entry',
    module: 'core/partition-leader',
    find: 'log.beginEpoch(info.epoch);',
    replace: '',
  },
  {
    name: 'the first replica that is in sync is elected, dead or not',
    module: 'core/metadata/election',
    find: 'replicas.find((id) => isr.includes(id) && this.canLead(id, partition))',
    replace: 'replicas.find((id) => isr.includes(id))',
  },
  {
    name: 'the first replica is elected, in sync or not',
    module: 'core/metadata/election',
    find: 'replicas.find((id) => isr.includes(id) && this.canLead(id, partition))',
    replace: 'replicas.find((id) => this.canLead(id, partition))',
  },
  {
    name: 'an emptied replica stays in the ISR',
    module: 'core/metadata/decide-brokers',
    find: 'withDirectory(partition, id, before?.directoryId, directoryId)',
    replace: 'withDirectory(partition, id, directoryId, directoryId)',
  },
  {
    name: 'a follower that has not caught up is admitted',
    module: 'core/partition-leader',
    find: 'if (leo === -1 || leo < replica.hwm)',
    replace: 'if (false)',
  },
  {
    name: 'what is announced of an earlier epoch is taken',
    module: 'core/partition-follower',
    find: 'if (after.epoch < before.epoch)',
    replace: 'if (false)',
  },
  {
    name: 'what a lapped reader has taken is kept',
    module: 'log/segment',
    find: 'guard === undefined || guard.intactSince(guardFrom)',
    replace: 'true',
  },
  {
    name: "a follower's LEO is counted in the wrong reign",
    module: 'runtime/partition-table',
    find: 'if (Atomics.load(int32, reign) !== epoch + 1)\n            return -1;',
    replace: '',
  },
  {
    name: 'a follower takes frames of another reign',
    module: 'core/partition-follower',
    find: 'baseOffset === leo && epoch === replica.info.epoch',
    replace: 'baseOffset === leo',
  },
  {
    name: 'a read goes beyond the HWM',
    module: 'runtime/client-link',
    find: 'log.read(fetch.offset, fetch.maxBytes, replica.hwm)',
    replace: 'log.read(fetch.offset, fetch.maxBytes, log.written)',
  },
  {
    name: 'the HWM rises while too few are in sync',
    module: 'core/replica',
    find: 'if (!this.hasEnoughInSync)\n            return this.hwm;',
    replace: '',
  },
  {
    name: 'an LEO is published before the device has what lies below it',
    module: 'runtime/durable-logs',
    find: 'if (this.#groups === undefined)\n            this.#settle',
    replace: 'if (true)\n            this.#settle',
  },
  {
    name: 'a smaller ISR is gone by before it is written down',
    module: 'runtime/broker',
    find: '({ id, info }, followers) => this.#notify',
    replace:
      '({ id, info }, followers) => this.replicas[id].become({ ...info, isr: info.isr.filter((each) => !followers.includes(each)) }) ?? this.#notify',
  },
  {
    name: 'what was said of a broker is decided on after it has come back',
    module: 'runtime/broker-lives',
    find: 'if (this.isLive(id) && this.#epochs.get(id) === epoch)',
    replace: 'if (false)',
  },
  {
    name: 'a disk that fails during a start is overlooked',
    module: 'runtime/broker-handle',
    find: "this.#hasDisk ? 'running' : 'offline'",
    replace: "'running'",
  },
];
