import type { ReassignTarget } from '../core/metadata/commands.ts';
import { unavailable } from '../core/metadata/decide-partitions.ts';
import { isMoving } from '../core/metadata/decide-reassignment.ts';
import type { MetadataImage, MetadataPartition } from '../core/metadata/image.ts';
import { Replacement } from '../core/replacement.ts';
import { type ErrorCode, TidemarkError } from '../errors.ts';
import type { ElectionResult, Reassignment, ReplicaProgress } from '../types.ts';
import type { Members } from './members.ts';
import type { PartitionChanges } from './partition-changes.ts';
import type { Clock } from './surroundings.ts';

/** How a move is refused that has ended, or whose topic is deleted. */
const ENDED_CODES: readonly ErrorCode[] = ['NO_REASSIGNMENT_IN_PROGRESS', 'UNKNOWN_TOPIC_OR_PARTITION'];
/** Between two looks at what is left on a broker that is to be empty. */
const DRAIN_LOOK_MS = 50;

export interface ReassignedCluster {
  readonly clock: Clock;
  readonly members: Members;
  readonly changes: PartitionChanges;
  image(): MetadataImage;
  /** Whether a broker may be given something to lead or to hold. */
  isLive(broker: number): boolean;
}

/** What administrators ask about who holds partitions, and who leads them. */
export class Reassignments {
  readonly #cluster: ReassignedCluster;
  /** Brokers that everything is moved from, each as often as that was asked for. */
  readonly #emptied: number[] = [];
  readonly #drains = new Set<Promise<void>>();

  constructor(cluster: ReassignedCluster) {
    this.#cluster = cluster;
  }

  /** Resolves when it has begun: everybody who is concerned has been told. */
  async reassign(
    targets: readonly ReassignTarget[],
    throttle: number | undefined,
    limitMs: number,
  ): Promise<void> {
    await this.#cluster.changes.ask({ type: 'reassign', targets, throttle }, limitMs);
  }

  /** Every partition of a topic gets so many replicas. */
  async resize(
    topic: string,
    replicationFactor: number,
    throttle: number | undefined,
    limitMs: number,
  ): Promise<void> {
    const image = this.#cluster.image();
    const replacement = this.#replacement();
    const ids = image.topic(topic)?.partitions ?? [];
    if (ids.length === 0)
      throw new TidemarkError('UNKNOWN_TOPIC_OR_PARTITION', `There is no topic '${topic}'.`);
    const targets = ids.map((id): ReassignTarget => {
      const { partition, replicas, removing, isr } = image.partition(id) as MetadataPartition;
      const wanted = replicas.filter((broker) => !removing.includes(broker));
      const next =
        wanted.length < replicationFactor
          ? replacement.extended(wanted, replicationFactor)
          : replacement.reduced(wanted, isr, replicationFactor);
      return { topic, partition, replicas: next };
    });
    await this.reassign(targets, throttle, limitMs);
  }

  /** What is under way. */
  list(): Reassignment[] {
    return this.#underWay().map((partition) => {
      const { topic, partition: index, replicas, adding, removing, throttle } = partition;
      return {
        topic,
        partition: index,
        replicas,
        adding: adding.filter((broker) => !removing.includes(broker)),
        removing,
        progress: this.#progressOf(partition),
        ...(throttle === null ? undefined : { throttleBytesPerSecond: throttle }),
      };
    });
  }

  /** Of these partitions, or of all: they get back the replicas of before. */
  async cancel(
    partitions: readonly Pick<ReassignTarget, 'topic' | 'partition'>[] | undefined,
    limitMs: number,
  ): Promise<void> {
    const { clock } = this.#cluster;
    const deadlineMs = clock.nowMs() + limitMs;
    for (;;) {
      const targets = (partitions ?? this.#underWay()).map(({ topic, partition }) => ({
        topic,
        partition,
        replicas: null,
      }));
      if (targets.length === 0) return;
      try {
        await this.reassign(targets, undefined, deadlineMs - clock.nowMs());
        return;
      } catch (error) {
        // One that has ended meanwhile has nothing to be given back; who has named it is told.
        const isGone = error instanceof TidemarkError && ENDED_CODES.includes(error.code);
        if (!isGone || partitions !== undefined) throw error;
      }
    }
  }

  /** Of the partitions of these topics, or of all, those that it was needed for, and what came of it. */
  async elect(
    topics: readonly string[] | undefined,
    election: 'preferred' | 'unclean',
    limitMs: number,
  ): Promise<ElectionResult[]> {
    const image = this.#cluster.image();
    for (const topic of topics ?? []) {
      if (image.topic(topic) === undefined)
        throw new TidemarkError('UNKNOWN_TOPIC_OR_PARTITION', `There is no topic '${topic}'.`);
    }
    const asked = image.partitions().filter(({ topic }) => topics === undefined || topics.includes(topic));
    const needed = asked.filter((partition) => this.#needsElection(partition, election));
    const results = await Promise.all(needed.map((partition) => this.#elect(partition, election, limitMs)));
    return results.filter((result) => result !== undefined);
  }

  /** A leader that does not live leads nothing, also while nobody can write that down. */
  #needsElection({ leader, replicas }: MetadataPartition, election: 'preferred' | 'unclean'): boolean {
    if (!this.#cluster.isLive(leader)) return true;
    return election === 'preferred' && leader !== replicas[0];
  }

  async #elect(
    which: MetadataPartition,
    election: 'preferred' | 'unclean',
    limitMs: number,
  ): Promise<ElectionResult | undefined> {
    const { topic, partition, replicas } = which;
    const leader = this.#cluster.isLive(which.leader) ? which.leader : -1;
    const candidates = election === 'unclean' ? replicas : replicas.slice(0, 1);
    try {
      // Where nobody lives there is nothing to decide, and perhaps nobody who could.
      if (!candidates.some((id) => this.#cluster.isLive(id))) throw unavailable(which, election);
      const command = { type: 'elect-leader', topic, partition, election } as const;
      const answer = await this.#cluster.changes.ask(command, limitMs);
      return { topic, partition, leader: answer.leader };
    } catch (error) {
      if (!(error instanceof TidemarkError) || error.code === 'CLOSED') throw error;
      // Somebody else was faster.
      if (error.code === 'ELECTION_NOT_NEEDED') return undefined;
      return { topic, partition, leader, code: error.code, error: error.message };
    }
  }

  /** Moves everything from a broker to others, and then does something, before it is given anything again. */
  async emptied<T>(
    broker: number,
    throttle: number | undefined,
    limitMs: number,
    act: () => Promise<T>,
  ): Promise<T> {
    this.#emptied.push(broker);
    try {
      const drain = this.#drain(broker, throttle, limitMs);
      this.#drains.add(drain);
      await drain.finally(() => this.#drains.delete(drain));
      return await act();
    } finally {
      this.#emptied.splice(this.#emptied.indexOf(broker), 1);
    }
  }

  /** Whether everything is being moved from a broker, so that nothing should come to it. */
  isEmptied(broker: number): boolean {
    return this.#emptied.includes(broker);
  }

  /** No broker is being emptied any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#drains);
  }

  /** Resolves when it holds nothing more. */
  async #drain(broker: number, throttle: number | undefined, limitMs: number): Promise<void> {
    const { clock, changes } = this.#cluster;
    const deadlineMs = clock.nowMs() + limitMs;
    for (;;) {
      if (changes.isClosing) throw cutShort(broker);
      const held = this.#cluster.image().partitionsOn(broker);
      if (held.length === 0) return;
      const leftMs = deadlineMs - clock.nowMs();
      if (leftMs <= 0) throw unfinished(broker, held);
      const staying = held.filter(({ removing }) => !removing.includes(broker));
      if (staying.length > 0) {
        const replacement = this.#replacement();
        const targets = staying.map(({ topic, partition, replicas, removing }): ReassignTarget => {
          const wanted = replicas.filter((id) => !removing.includes(id));
          return { topic, partition, replicas: replacement.replaced(wanted, broker) };
        });
        await this.reassign(targets, throttle, leftMs);
      }
      // Whoever waits for this may have nothing else to live for.
      await new Promise<void>((resolve) => {
        clock.scheduleKept(DRAIN_LOOK_MS, resolve);
      });
    }
  }

  #underWay(): MetadataPartition[] {
    return this.#cluster.image().partitions().filter(isMoving);
  }

  /** Over the brokers that live and are to stay. */
  #replacement(): Replacement {
    const image = this.#cluster.image();
    const load = new Map<number, number>();
    for (const { id } of image.brokers()) load.set(id, image.fields.held.get(id)?.size ?? 0);
    return new Replacement(
      image.brokers().filter(({ id }) => this.#cluster.isLive(id) && !this.isEmptied(id)),
      load,
    );
  }

  /** How many of the records that the leader has now each replica has that is to come. */
  #progressOf({ id, leader, adding, removing, isr }: MetadataPartition): ReplicaProgress[] {
    const { members } = this.#cluster;
    const start = leader === -1 ? 0 : members.get(leader).table.loadLogStart(id);
    const totalRecords = leader === -1 ? 0 : Math.max(0, members.logEnd(leader, id).leo - start);
    return adding
      .filter((broker) => !removing.includes(broker))
      .map((broker) => {
        const has = Math.max(0, members.logEnd(broker, id).leo - start);
        return {
          broker,
          doneRecords: Math.min(has, totalRecords),
          totalRecords,
          inSync: isr.includes(broker),
        };
      });
  }
}

function unfinished(broker: number, held: readonly MetadataPartition[]): TidemarkError {
  const [{ topic, partition }] = held;
  return new TidemarkError(
    'REQUEST_TIMED_OUT',
    `Broker ${broker} still holds replicas of ${held.length} partitions, for example ${partition} of '${topic}': they go on moving. Look at admin.listReassignments(), and try again later.`,
  );
}

function cutShort(broker: number): TidemarkError {
  return new TidemarkError(
    'CLOSED',
    `The cluster was closed before broker ${broker} was empty, and it was not removed. What had begun to move goes on with the next start.`,
  );
}
