// Everything that goes wrong, and everything that people do to the voters, as often as the plan says.
import { type Configuration, isSameMember } from '../../src/core/raft/index.ts';
import type { Voter } from '../../src/runtime/voter.ts';
import type { OperationKind } from '../log/faulty-disk.ts';
import type { Call } from './call.ts';
import type { Dice } from './dice.ts';
import { nameOf } from './observer.ts';
import type { SimNode } from './sim-node.ts';
import type { End, World } from './world.ts';

/** How often whoever administers the voters looks whether they are those that they should be. */
const ADMINISTER_MS = 300;

export class Nemesis {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #provoke: (leader: Voter) => void;
  /** The ids of those who should vote. */
  readonly #wanted: Set<number>;
  #change: Call | undefined;
  #isOver = false;

  /** `provoke` asks a leader for something. */
  constructor(world: World, dice: Dice, provoke: (leader: Voter) => void) {
    this.#world = world;
    this.#dice = dice;
    this.#provoke = provoke;
    this.#wanted = new Set(world.bootstrap.voters.map(({ id }) => id));
  }

  begin(): void {
    const { rates } = this.#world.plan;
    this.#every(rates.kill, () => this.#strike('kill'));
    this.#every(rates.powerCut, () => this.#powerCut());
    this.#every(rates.powerCutOfAll, () => this.#endAll(this.#world.isDurable ? 'power cut' : 'kill'));
    this.#every(rates.pause, () => this.#pause());
    this.#every(rates.partition, () => this.#partition());
    this.#every(rates.lostDirectory, () => this.#loseDirectory());
    this.#every(rates.diskFault, () => this.#failDisk());
    this.#every(rates.membership, () => this.#want());
    this.#every(rates.transfer, () => this.#transfer());
    this.#administer();
  }

  /** No more faults; what is broken is mended. */
  heal(): void {
    this.#isOver = true;
    this.#world.heal();
    this.#restartAll();
  }

  /** Whether the voters are those that should be, in the directories that there are. */
  isAsWanted({ voters }: Configuration): boolean {
    return voters.length === this.#wanted.size && voters.every((voter) => this.#isWanted(voter.id, voter));
  }

  #isWanted(id: number, voter: { readonly id: number; readonly directoryId: string }): boolean {
    return this.#wanted.has(id) && isSameMember(this.#world.node(id).member, voter);
  }

  #every(meanMs: number, act: () => void): void {
    if (!Number.isFinite(meanMs)) return;
    const waitMs = this.#dice.waitMs(meanMs);
    this.#world.scheduler.schedule(
      waitMs,
      'fault',
      () => 'next',
      () => {
        if (this.#isOver) return;
        act();
        this.#every(meanMs, act);
      },
    );
  }

  #later(delayMs: number, what: string, act: () => void): void {
    this.#world.scheduler.schedule(
      delayMs,
      'fault',
      () => what,
      () => {
        if (!this.#isOver) act();
      },
    );
  }

  #downtimeMs(): number {
    return this.#dice.percent(50) ? this.#dice.between(1, 100) : this.#dice.between(100, 3_000);
  }

  /** Who leads is worth more than others, most of all while what it was asked for is on its way. */
  #victim(): SimNode {
    const { leader, nodes } = this.#world;
    return leader !== undefined && this.#dice.percent(40)
      ? this.#world.node(leader.self.id)
      : this.#dice.pick(nodes);
  }

  #strike(end: End): void {
    const victim = this.#victim();
    const { voter, member } = victim;
    if (voter?.isLeader !== true || this.#dice.percent(40)) {
      this.#end(victim, end);
      return;
    }
    this.#provoke(voter);
    const { syncMs, network } = this.#world.plan;
    const delayMs = this.#dice.between(0, 2 * syncMs[1] + network.delayMs[1]);
    this.#later(delayMs, `${nameOf(member)} is hit`, () => this.#end(victim, end));
  }

  #end(node: SimNode, end: End): void {
    if (node.state === 'down') return;
    this.#world.scheduler.note(`${end} of ${nameOf(node.member)}`);
    this.#world.end(node, end);
    this.#restartLater(node);
  }

  #powerCut(): void {
    // In one process there is no power cut of one.
    if (this.#world.plan.layout === 'one thread')
      this.#endAll(this.#dice.pick(['kill', 'power cut'] as const));
    else this.#strike('power cut');
  }

  #endAll(end: End): void {
    this.#world.scheduler.note(`${end} of all`);
    this.#world.endAll(end);
    for (const node of this.#world.nodes) this.#restartLater(node);
  }

  #restartLater(node: SimNode): void {
    this.#later(this.#downtimeMs(), `${nameOf(node.member)} is started`, () => this.#world.start(node));
  }

  /** Those that have failed by themselves, too. */
  #restartAll(): void {
    for (const node of this.#world.nodes) this.#world.start(node);
  }

  #pause(): void {
    const { process, member } = this.#dice.pick(this.#world.nodes);
    const durationMs = this.#dice.pick([20, 300, 1_500, 4_000]) * this.#dice.between(0.5, 1.5);
    this.#world.scheduler.note(
      `${process?.name ?? nameOf(member)} stands still for ${durationMs.toFixed()} ms`,
    );
    process?.pause(durationMs);
  }

  #partition(): void {
    const { nodes, network, scheduler } = this.#world;
    const dice = this.#dice;
    const isOneWay = dice.percent(30);
    const side = nodes.filter(() => dice.percent(50));
    if (dice.percent(40)) side.splice(0, side.length, this.#victim());
    const links: [number, number][] = [];
    for (const one of side) {
      for (const other of nodes) {
        if (side.includes(other)) continue;
        links.push([one.id, other.id]);
        if (!isOneWay) links.push([other.id, one.id]);
      }
    }
    scheduler.note(`cut: ${links.map(([from, to]) => `${from}->${to}`).join(' ')}`);
    for (const [from, to] of links) network.cut(from, to);
    this.#later(dice.between(100, 3_000), 'links are mended', () => {
      for (const [from, to] of links) network.mend(from, to);
    });
  }

  /** Only while a majority keeps its directories, by whatever anybody may take for the voters. */
  #loseDirectory(): void {
    const node = this.#dice.pick(this.#world.nodes);
    if (node.state === 'opening' || !this.#mayLose(node)) return;
    if (this.#world.plan.layout === 'one thread' && node.state !== 'down') return;
    this.#world.scheduler.note(`${nameOf(node.member)} loses its directory`);
    this.#world.end(node, 'kill');
    this.#world.loseDirectory(node);
    this.#restartLater(node);
  }

  #mayLose(lost: SimNode): boolean {
    return this.#configurations().every(({ voters }) => {
      const kept = voters.filter(
        (voter) => voter.id !== lost.id && isSameMember(this.#world.node(voter.id).member, voter),
      );
      return kept.length * 2 > voters.length;
    });
  }

  #configurations(): Configuration[] {
    const found: Configuration[] = [this.#world.bootstrap];
    for (const { durable, voter } of this.#world.nodes) {
      if (voter !== undefined) found.push(voter.node.configuration);
      if (durable.snapshot !== undefined) found.push(durable.snapshot.configuration);
      for (const { kind, data } of [...durable.entries, ...(durable.inFlight?.entries ?? [])]) {
        if (kind === 'config') found.push(JSON.parse(Buffer.from(data).toString()));
      }
    }
    return found;
  }

  #failDisk(): void {
    const dice = this.#dice;
    const node = dice.pick(this.#world.nodes);
    const kind = dice.pick<OperationKind>(['write', 'sync', 'rename', 'syncDirectory']);
    const code = kind === 'write' ? dice.pick(['EIO', 'ENOSPC']) : 'EIO';
    this.#world.scheduler.note(`the disk of ${nameOf(node.member)} will refuse ${kind} with ${code}`);
    this.#world.failDisk(node, { kind, nth: 1 + dice.below(4), code, always: dice.percent(30) });
  }

  /** Somebody changes what the voters should be. */
  #want(): void {
    const { nodes } = this.#world;
    const outside = nodes.filter(({ id }) => !this.#wanted.has(id));
    const grows = this.#wanted.size < 3 ? this.#dice.percent(80) : this.#dice.percent(40);
    if (grows && outside.length > 0) this.#wanted.add(this.#dice.pick(outside).id);
    else if (this.#wanted.size > 1) this.#wanted.delete(this.#dice.pick([...this.#wanted]));
    this.#world.scheduler.note(`voters should be ${[...this.#wanted].sort().join(', ')}`);
  }

  #transfer(): void {
    const leader = this.#world.leader;
    const to = this.#dice.pick(this.#world.nodes).id;
    if (leader === undefined) return;
    const asked = { kind: 'transfer', node: leader.self.id, what: `to ${to}`, data: undefined } as const;
    this.#world.ask(asked, () => leader.transfer(to));
  }

  #administer(): void {
    const waitMs = ADMINISTER_MS * this.#dice.between(0.5, 1.5);
    this.#world.scheduler.schedule(
      waitMs,
      'client',
      () => 'the voters are looked after',
      () => {
        this.#restartFailed();
        this.#bringCloser();
        this.#administer();
      },
    );
  }

  /** A voter that its disk has ended comes back after a while. */
  #restartFailed(): void {
    for (const node of this.#world.nodes) {
      if (node.state === 'down' && (this.#isOver || this.#dice.percent(30))) this.#world.start(node);
    }
  }

  /** One step nearer to what is wanted. */
  #bringCloser(): void {
    const leader = this.#world.leader;
    if (leader === undefined || this.#change?.outcome === 'pending') return;
    const { voters } = leader.node.configuration;
    // Who has lost its directory goes first: it can confirm nothing, not even that somebody else goes.
    const lost = voters.find((voter) => !isSameMember(this.#world.node(voter.id).member, voter));
    const leaving = lost ?? voters.find(({ id }) => !this.#wanted.has(id));
    const coming = [...this.#wanted].find((id) => !voters.some((voter) => voter.id === id));
    // Somebody new comes before others go, so that there are never fewer than need be.
    if (coming !== undefined && lost === undefined) this.#add(leader, this.#world.node(coming));
    else if (leaving !== undefined) this.#remove(leader, leaving);
  }

  #add(leader: Voter, { member }: SimNode): void {
    const asked = { kind: 'add', node: leader.self.id, what: nameOf(member), data: undefined } as const;
    this.#change = this.#world.ask(asked, () => leader.addVoter(member));
  }

  #remove(leader: Voter, member: { readonly id: number; readonly directoryId: string }): void {
    const asked = { kind: 'remove', node: leader.self.id, what: nameOf(member), data: undefined } as const;
    this.#change = this.#world.ask(asked, () => leader.removeVoter(member));
  }
}
