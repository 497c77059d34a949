// Runs scenarios that are written as text: blocks of commands, a line of dashes, and what they print.
//
// `options appendMaxEntries=1` may come before everything else.
//
//    start 3               voters 1 to 3                 deliver            every message, and what comes of it
//    add 4  (add 4B)       an empty directory            deliver 1->2 3->2  those of these links, once
//    campaign 1            asks for an election          drop 1->2          those of this link are lost
//    propose 1 x           a proposal to node 1          cut 3 / heal       whatever 3 sends or is sent is lost
//    read 1                                              crash 2 / restart 2
//    add-voter 1 4         a request to node 1           lost 1             the others are told that 1 is dead
//    remove-voter 1 3                                    resume             nobody's silence says anything
//    transfer 1 2                                        stall 5000         the clock moves, and nobody does anything
//    compact 1 5                                         pass 300           ticks and deliveries; prints no messages
//    status                what each node is             applied 2          what the machine of node 2 was given
import type { Message, RaftOptions, RaftOutput } from '../../../src/core/raft/index.ts';
import { bytes, member, RaftCluster, type TestEvent, type TestHost } from './raft-cluster.ts';

const DASHES = '----';

/** The same text, with what the commands print now. */
export function runScenario(script: string): string {
  const scenario = new Scenario();
  const blocks = script.trimEnd().split(/\n{2,}/);
  return `${blocks.map((block) => runBlock(scenario, block)).join('\n\n')}\n`;
}

function runBlock(scenario: Scenario, block: string): string {
  const lines = block.split('\n');
  const end = lines.indexOf(DASHES);
  const given = end < 0 ? lines : lines.slice(0, end);
  const commands = given.filter((line) => !line.startsWith('#'));
  if (commands.length === 0) return block;
  for (const command of commands) scenario.run(command);
  return [...given, DASHES, ...scenario.takePrinted()].join('\n');
}

class Scenario {
  #cluster = this.#newCluster({ tailEntries: 2 });
  readonly #known = new Map<number, string>();
  #printed: string[] = [];
  #cut: readonly number[] = [];
  #requests = 0;

  #newCluster(options: Partial<RaftOptions>): RaftCluster {
    return new RaftCluster({ seed: 1, options, observe: (host, out) => this.#observe(host, out) });
  }

  takePrinted(): string[] {
    const printed = this.#printed.length === 0 ? ['ok'] : this.#printed;
    this.#printed = [];
    return printed;
  }

  run(line: string): void {
    const [command, ...words] = line.split(' ');
    const run = this.#commands[command];
    if (run === undefined) throw new Error(`there is no command '${command}'`);
    run(words);
    for (const told of this.#cluster.takeTold()) this.#printed.push(`  ${told}`);
  }

  readonly #commands: Readonly<Record<string, (words: string[]) => void>> = {
    options: (settings) => {
      const options = settings
        .map((setting) => setting.split('='))
        .map(([name, value]) => [name, Number(value)]);
      this.#cluster = this.#newCluster(Object.fromEntries(options));
    },
    start: ([count]) => {
      this.#cluster.start(...Array.from({ length: Number(count) }, (_, at) => at + 1));
    },
    add: ([name]) => {
      this.#cluster.add(memberNamed(name));
    },
    campaign: ([id]) => this.#step(id, { kind: 'campaign' }),
    propose: ([id, data]) => this.#step(id, { kind: 'propose', id: ++this.#requests, data: bytes(data) }),
    read: ([id]) => this.#step(id, { kind: 'read', id: ++this.#requests }),
    'add-voter': ([id, voter]) =>
      this.#step(id, { kind: 'add-voter', id: ++this.#requests, voter: memberNamed(voter) }),
    'remove-voter': ([id, voter]) =>
      this.#step(id, { kind: 'remove-voter', id: ++this.#requests, voter: memberNamed(voter) }),
    transfer: ([id, to]) => this.#step(id, { kind: 'transfer', id: ++this.#requests, to: Number(to) }),
    compact: ([id, index]) => {
      const data = this.#cluster.host(Number(id)).machine.snapshot;
      this.#step(id, { kind: 'compact', index: Number(index), data });
    },
    deliver: (links) => (links.length === 0 ? this.#deliverAll() : this.#deliverLinks(links)),
    drop: ([link]) => {
      this.#cluster.network = this.#cluster.network.filter((message) => linkOf(message) !== link);
    },
    cut: (ids) => {
      this.#cut = ids.map(Number);
    },
    heal: () => {
      this.#cut = [];
    },
    crash: ([id]) => this.#cluster.crash(Number(id)),
    restart: ([id]) => {
      this.#known.delete(Number(id));
      this.#cluster.restart(Number(id));
    },
    lost: ([peer]) => this.#stepAll({ kind: 'peer-lost', peer: Number(peer) }),
    resume: () => this.#stepAll({ kind: 'resumed' }),
    stall: ([ms]) => {
      this.#cluster.nowMs += Number(ms);
    },
    pass: ([ms]) => this.#cluster.pass(Number(ms), (message) => this.#isCut(message)),
    status: () => {
      for (const host of this.#cluster.hosts.values()) this.#printed.push(describeNode(host));
    },
    applied: ([id]) => this.#printed.push(...this.#cluster.host(Number(id)).machine.applied),
  };

  #step(id: string, event: TestEvent): void {
    this.#cluster.step(Number(id), event);
  }

  #stepAll(event: TestEvent): void {
    for (const [id, { node }] of this.#cluster.hosts) if (node !== undefined) this.#cluster.step(id, event);
  }

  #isCut({ from, to }: Message): boolean {
    return this.#cut.includes(from.id) || this.#cut.includes(to.id);
  }

  #deliver(message: Message): void {
    const isLost = this.#isCut(message) || this.#cluster.hosts.get(message.to.id)?.node === undefined;
    this.#printed.push(`${linkOf(message)} ${describe(message)}${isLost ? ' (lost)' : ''}`);
    if (!isLost) this.#cluster.deliver(message);
  }

  #deliverAll(): void {
    const { network } = this.#cluster;
    for (let message = network.shift(); message !== undefined; message = network.shift()) {
      this.#deliver(message);
    }
  }

  #deliverLinks(links: readonly string[]): void {
    for (const link of links) {
      const chosen = this.#cluster.network.filter((message) => linkOf(message) === link);
      this.#cluster.network = this.#cluster.network.filter((message) => linkOf(message) !== link);
      for (const message of chosen) this.#deliver(message);
    }
  }

  /** Tells of roles, terms and commits as they change. */
  #observe({ self, raft }: TestHost, { committed, snapshot, persist }: RaftOutput): void {
    const now = `${raft.role} of term ${raft.term}`;
    const before = this.#known.get(self.id);
    this.#known.set(self.id, now);
    if (now !== (before ?? 'follower of term 0') && now !== before)
      this.#printed.push(`  ${self.id} is ${now}`);
    const { truncateFrom } = persist;
    if (truncateFrom !== undefined) this.#printed.push(`  ${self.id} drops from ${truncateFrom}`);
    if (snapshot !== undefined) this.#printed.push(`  ${self.id} takes the snapshot at ${snapshot.index}`);
    if (committed.length > 0) this.#printed.push(`  ${self.id} commits to ${committed.at(-1)?.index}`);
  }
}

/** 3 or 3B: the first or second directory of node 3. */
function memberNamed(name: string): ReturnType<typeof member> {
  const [, id, letter] = /^(\d+)([ABC]?)$/.exec(name) ?? [];
  return member(Number(id), Math.max(0, 'ABC'.indexOf(letter || 'A')));
}

function linkOf({ from, to }: Message): string {
  return `${from.id}->${to.id}`;
}

function describe(message: Message): string {
  const term = `term ${message.term}`;
  switch (message.kind) {
    case 'vote-request': {
      const what = message.isPreVote ? 'would you vote for me' : 'vote for me';
      return `${what}, ${term}, log ends ${message.lastIndex}/${message.lastTerm}`;
    }
    case 'vote-response':
      if (message.isPreVote) return `${message.isGranted ? 'I would' : 'I would not'}, ${term}`;
      return `${message.isGranted ? 'yes' : 'no'}, ${term}`;
    case 'append': {
      const entries = message.entries.map((entry) => `${entry.index}/${entry.term}`).join(' ');
      const after = `after ${message.prevIndex}/${message.prevTerm}`;
      return `append [${entries}] ${after}, commit ${message.commit}, ${term}`;
    }
    case 'append-response':
      return message.isAccepted
        ? `has ${message.index}, ${term}`
        : `does not fit at ${message.index}, term ${message.conflictTerm} from ${message.conflictIndex} on, ${term}`;
    case 'heartbeat':
      return `heartbeat ${message.round}, commit ${message.commit}, ${term}`;
    case 'heartbeat-response':
      return `heard ${message.round}, ${term}`;
    case 'snapshot':
      return `snapshot ${message.snapshot.index}/${message.snapshot.term}, ${term}`;
    case 'timeout-now':
      return `stand now, ${term}`;
  }
}

function describeNode({ self, node }: TestHost): string {
  if (node === undefined) return `${self.id}: down`;
  const { role, term, commit, firstIndex, lastIndex, configuration, leader } = node;
  const terms: string[] = [];
  for (let index = firstIndex; index <= lastIndex; index++) terms.push(`${index}/${node.termAt(index)}`);
  const voters = configuration.voters.map(({ id }) => id).join(' ');
  const follows = role === 'leader' ? '' : ` of ${leader?.id ?? 'nobody'}`;
  return `${self.id}: ${role}${follows}, term ${term}, commit ${commit}, log [${terms.join(' ')}], voters ${voters || 'none'}`;
}
