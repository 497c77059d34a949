import { ASLEEP, AWAKE } from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { BrokerLink } from '../../../src/client/broker-link.ts';
import { TidemarkError } from '../../../src/errors.ts';
import { type ArenaView, kernelsOver } from '../../../src/runtime/arena.ts';
import type { ClientEndpoint } from '../../../src/runtime/attachments.ts';
import type { Coordinator } from '../../../src/runtime/coordinator.ts';
import type { PartitionInfo } from '../../../src/types.ts';
import type { Dice } from '../dice.ts';
import { TOPIC } from './observer.ts';
import { Line } from './sim-port.ts';
import { Strand } from './strand.ts';
import type { World } from './world.ts';

/** How long a request may take; a link waits for its answer by so much longer as it always does. */
export const REQUEST_TIMEOUT_MS = 500;
const EXPIRY_MS = 100;

interface Linked {
  readonly life: number;
  readonly link: BrokerLink;
}

/** A client's thread, with the product's own links to the brokers. */
export class SimClient {
  readonly name: string;
  readonly strand: Strand;
  readonly world: World;
  readonly dice: Dice;
  readonly #links = new Map<number, Linked>();
  readonly #news: Line;
  #partitions: readonly PartitionInfo[] = [];
  #coordinator: Coordinator | undefined;
  #client = 0;
  #bell = 0;
  #arena: ArenaView | undefined;
  #kernels: ReturnType<typeof kernelsOver> | undefined;
  #isWaiting = false;

  constructor(name: string, world: World, dice: Dice) {
    this.name = name;
    this.world = world;
    this.dice = dice;
    const { scheduler, plan } = world;
    this.#news = new Line(scheduler, dice.fork(), plan.newsMs, () => `main to ${name}`);
    this.strand = new Strand(
      name,
      scheduler,
      () => undefined,
      (error) => world.unhandled(error),
    );
    world.onUp((coordinator) => void this.#attach(coordinator));
    world.onLook(() => this.#look());
    this.strand.clock.every(EXPIRY_MS, () => this.#expire());
  }

  /** As it has heard of them: others may lead by now. */
  partitions(): readonly PartitionInfo[] {
    return this.#coordinator === undefined ? [] : this.#partitions;
  }

  link(broker: number): BrokerLink | undefined {
    return this.#links.get(broker)?.link;
  }

  async #attach(coordinator: Coordinator): Promise<void> {
    this.#fail();
    this.#coordinator = undefined;
    const attachment = await coordinator.attachments.attach().catch(() => undefined);
    if (this.world.coordinator !== coordinator) return;
    if (attachment === undefined) {
      this.strand.clock.schedule(EXPIRY_MS, () => {
        if (this.world.coordinator === coordinator) void this.#attach(coordinator);
      });
      return;
    }
    this.#coordinator = coordinator;
    this.#client = attachment.client;
    this.#bell = attachment.bell;
    this.#arena = coordinator.arena;
    this.#kernels = kernelsOver(coordinator.arena, attachment.workspace, coordinator.module);
    const isCurrent = (): boolean => this.world.coordinator === coordinator;
    coordinator.listen({
      brokerEnded: (broker, life) => {
        if (isCurrent()) this.#ended(broker, life);
      },
      brokerHangs: (broker, life) => {
        const linked = this.#links.get(broker);
        if (!isCurrent() || linked?.life !== life) return;
        linked.link.expire(Number.POSITIVE_INFINITY, () => lost(`Broker ${broker} hangs.`));
      },
      brokerStarted: (broker) => {
        if (isCurrent()) void this.#started(coordinator, broker);
      },
      linkCut: () => undefined,
      topicsChanged: (changed) => {
        const infos = changed.find(({ name }) => name === TOPIC)?.partitions;
        if (infos === undefined) return;
        this.#news.send('news', () => {
          if (isCurrent())
            this.strand.run(() => {
              this.#partitions = infos;
            });
        });
      },
    });
    this.#partitions = coordinator.topics.get(TOPIC)?.partitions ?? [];
    for (const endpoint of attachment.endpoints) this.#linkTo(endpoint);
    // Those that have come, or come back, while this client was being attached.
    for (const { handle } of coordinator.members.alive) void this.#started(coordinator, handle.id);
    this.#schedulePump(0);
  }

  async #started(coordinator: Coordinator, broker: number): Promise<void> {
    const endpoint = await coordinator.attachments.link(this.#client, broker).catch(() => undefined);
    if (endpoint !== undefined && this.world.coordinator === coordinator) this.#linkTo(endpoint);
  }

  #linkTo({ broker, life, addresses }: ClientEndpoint): void {
    if ((this.#links.get(broker)?.life ?? 0) >= life) return;
    const arena = this.#arena as ArenaView;
    const now = (): number => this.world.nowMs;
    const kernels = this.#kernels as ReturnType<typeof kernelsOver>;
    const link = new BrokerLink(arena, kernels, broker, addresses, now);
    this.#links.get(broker)?.link.fail(lost(`Broker ${broker} lives another life.`));
    this.#links.set(broker, { life, link });
  }

  #ended(broker: number, life: number): void {
    const linked = this.#links.get(broker);
    if (linked === undefined || linked.life > life) return;
    this.#links.delete(broker);
    linked.link.fail(lost(`Broker ${broker} has ended.`));
  }

  /** Nothing of the process is left. */
  #fail(): void {
    const links = [...this.#links.values()];
    this.#links.clear();
    for (const { link } of links) link.fail(lost('The process has ended.'));
  }

  #expire(): void {
    if (this.world.coordinator === undefined) {
      this.#coordinator = undefined;
      this.#fail();
    }
    const late = (): TidemarkError => new TidemarkError('REQUEST_TIMED_OUT', 'Nobody has answered in time.');
    for (const { link } of this.#links.values()) link.expire(this.world.nowMs, late);
  }

  #look(): void {
    this.strand.look();
    if (this.#isWaiting || this.#arena === undefined || this.world.coordinator !== this.#coordinator) return;
    if (Atomics.load(this.#arena.int32, this.#bell / 4) === AWAKE)
      this.#schedulePump(this.dice.between(...this.world.plan.wakeMs));
  }

  #schedulePump(delayMs: number): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.strand.after(delayMs, 'client', 'looks for answers', () => this.#pump());
  }

  #pump(): void {
    this.#isWaiting = false;
    const coordinator = this.#coordinator;
    if (coordinator === undefined || this.world.coordinator !== coordinator) return;
    for (const { link } of [...this.#links.values()]) link.pump();
    Atomics.store(coordinator.arena.int32, this.#bell / 4, ASLEEP);
    for (const { link } of this.#links.values())
      if (link.hasWork()) {
        this.#schedulePump(this.dice.between(...this.world.plan.passMs));
        return;
      }
  }
}

function lost(sentence: string): TidemarkError {
  return new TidemarkError('BROKER_FAILED', sentence);
}
