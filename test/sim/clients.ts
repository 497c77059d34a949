// Clients change the metadata and read them, of whoever says that it leads, and each call's outcome is kept.
import { topicDefaults } from '../../src/config.ts';
import type { Command, DecisionContext } from '../../src/core/metadata/commands.ts';
import { decideAll } from '../../src/core/metadata/controller.ts';
import type { MetadataImage } from '../../src/core/metadata/image.ts';
import { encodeRecords } from '../../src/core/metadata/records.ts';
import type { Voter } from '../../src/runtime/voter.ts';
import { markOf } from './call.ts';
import type { Dice } from './dice.ts';
import type { World } from './world.ts';

const BROKERS = [1, 2, 3, 4, 5];
const TOPICS_MAX = 6;
const LIMIT_MS = 1_500;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

export class Clients {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #context: DecisionContext;
  /** Leaders with a decision under way: the next one is made on what comes of it. */
  readonly #busy = new WeakSet<Voter>();
  #isOver = false;
  #topics = 0;

  constructor(world: World, dice: Dice) {
    this.#world = world;
    this.#dice = dice;
    this.#context = {
      isAlive: () => !dice.percent(10),
      isEmptied: () => false,
      hasLog: () => !dice.percent(5),
      logEnd: () => ({ leo: dice.below(9), lastEpoch: dice.below(3) }),
      newUuid: () =>
        Array.from({ length: 21 }, () => ALPHABET[dice.below(64)]).join('') + dice.pick([...'AQgw']),
      defaults: topicDefaults('os'),
    };
  }

  begin(): void {
    for (let client = 1; client <= this.#world.plan.clients; client++) this.#wait(client);
  }

  end(): void {
    this.#isOver = true;
  }

  #wait(client: number): void {
    const waitMs = this.#dice.waitMs(this.#world.plan.clientWaitMs);
    const describe = (): string => `client ${client} asks`;
    this.#world.scheduler.schedule(waitMs, 'client', describe, () => {
      if (this.#isOver) return;
      this.#act();
      this.#wait(client);
    });
  }

  #act(): void {
    const leaders = this.#world.leaders();
    if (leaders.length === 0) return;
    const leader = this.#dice.pick(leaders);
    if (this.#dice.percent(30)) this.read(leader);
    else if (this.#dice.percent(50) && isReady(leader) && !this.#busy.has(leader)) this.#decide(leader);
    else for (let left = this.#dice.pick([1, 1, 1, 2, 8]); left > 0; left--) this.write(leader);
  }

  read(leader: Voter): void {
    this.#world.ask({ kind: 'read', node: leader.self.id, what: '', data: undefined }, () => leader.read());
  }

  /** Something that fits whatever comes before it, so that several can be on their way. */
  write(leader: Voter): void {
    if (this.#world.node(leader.self.id).machine?.image.clusterId === undefined) return;
    this.#propose(leader, 'mark', []);
  }

  #decide(leader: Voter): void {
    const image = this.#world.node(leader.self.id).machine?.image as MetadataImage;
    const commands = [this.#command(image), ...(this.#dice.percent(20) ? [this.#command(image)] : [])];
    const { records } = decideAll(image, commands, this.#context);
    const what = commands.map(({ type }) => type).join(' and ');
    if (records.length > 0) this.#propose(leader, what, records);
  }

  #propose(leader: Voter, what: string, records: Parameters<typeof encodeRecords>[0]): void {
    const world = this.#world;
    const data = encodeRecords([...records, markOf(world.nextCall)]);
    const isDecision = records.length > 0;
    if (isDecision) this.#busy.add(leader);
    // What was decided on an image holds for that leader alone; other things may wait for whoever leads.
    const process = world.node(leader.self.id).process;
    const isForAny = !isDecision && world.plan.layout === 'one thread' && this.#dice.percent(50);
    world.ask(
      { kind: 'propose', node: isForAny ? 0 : leader.self.id, what, data },
      () =>
        isForAny && process !== undefined
          ? process.quorum.ask(LIMIT_MS, (asked) => asked.propose(data))
          : leader.propose(data),
      () => this.#busy.delete(leader),
    );
  }

  #command(image: MetadataImage): Command {
    const dice = this.#dice;
    if (image.clusterId === undefined) return { type: 'create-cluster', clusterId: 'simulated' };
    const brokers = image.brokers();
    const broker = brokers.length === 0 ? undefined : dice.pick(brokers);
    if (broker === undefined || dice.percent(15)) return this.#register(dice.pick(BROKERS));
    const ofBroker = { broker: broker.id, epoch: broker.epoch };
    const topics = image.topics();
    const partitions = image.partitions();
    if (topics.length === 0 || dice.percent(20)) {
      if (topics.length >= TOPICS_MAX) return { type: 'delete-topic', name: dice.pick(topics).name };
      this.#topics += 1;
      const name = `topic-${this.#topics}`;
      return {
        type: 'create-topic',
        name,
        partitions: 1 + dice.below(3),
        replicationFactor: 1 + dice.below(3),
      };
    }
    const topic = dice.pick(topics);
    switch (dice.below(9)) {
      case 0:
        return { type: 'fence-broker', ...ofBroker };
      case 1:
      case 2:
        return { type: 'unfence-broker', ...ofBroker };
      case 3:
        return { type: 'shut-down-broker', ...ofBroker };
      case 4:
        return {
          type: 'alter-topic-config',
          topic: topic.name,
          set: { 'retention.ms': 1 + dice.below(1_000) },
        };
      case 5:
        return { type: 'allocate-producer-ids', ...ofBroker };
      case 6:
        return { type: 'balance-leaders' };
      case 7:
        return {
          type: 'create-partitions',
          topic: topic.name,
          count: Math.min(6, topic.partitions.length + 1),
        };
      default:
        return this.#alterIsr(image, dice.pick(partitions));
    }
  }

  #register(broker: number): Command {
    const directoryId = `directory-of-broker--${broker}${this.#dice.pick([...'AQ'])}`.slice(0, 22);
    return { type: 'register-broker', broker, directoryId, rack: null };
  }

  #alterIsr(image: MetadataImage, partition: ReturnType<MetadataImage['partitions']>[number]): Command {
    const epochOf = (id: number): number => image.broker(id)?.epoch ?? 0;
    const { id, leader, replicas, epoch, partitionEpoch } = partition;
    const isr = replicas.filter((replica) => replica === leader || this.#dice.percent(60));
    return {
      type: 'alter-isr',
      broker: leader,
      epoch: epochOf(leader),
      partition: id,
      leaderEpoch: epoch,
      partitionEpoch,
      isr: isr.map((member) => ({ broker: member, epoch: epochOf(member) })),
    };
  }
}

/** Whether the image of this leader is what the next entry will be applied to. */
function isReady({ applied, node }: Voter): boolean {
  return applied === node.lastIndex && node.termAt(applied) === node.term;
}
