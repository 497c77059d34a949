import { isCompacted, type PropertyName, type TopicConfigInput, topicConfig } from '../config.ts';
import type { AnswerTo, Command } from '../core/metadata/commands.ts';
import { brokersFor } from '../core/placement.ts';
import { isUndecided, TidemarkError } from '../errors.ts';
import { ADMIN_TIMEOUT_DEFAULT_MS, CONTROL_TIMEOUT_MS } from '../limits.ts';
import { partitionDirectory } from '../log/file-names.ts';
import type { PartitionInfo } from '../types.ts';
import type { ControlRequest } from './directory.ts';
import type { Members } from './members.ts';
import type { Clock } from './surroundings.ts';
import { pause, timeLimit } from './timers.ts';
import type { KnownTopic, TopicInfo, Topics } from './topics.ts';

/** Between two looks at what has come of a change. */
const LOOK_MS = 50;
/** Who decides says more about why it cannot than that the time is over: it is asked to say so a little before. */
const SAY_WHY_MS = 100;

interface TopicCluster {
  readonly clock: Clock;
  readonly topics: Topics;
  readonly members: Members;
  submit<Each extends Command>(command: Each, limitMs?: number): Promise<AnswerTo<Each>>;
  /** Resolves when it is known what has come of all that was submitted before. */
  decided(): Promise<unknown>;
  /** Whether a broker may be given something to lead or to hold. */
  isLive(broker: number): boolean;
  /** Whether all that it holds is being moved elsewhere. */
  isEmptied(broker: number): boolean;
  /** Whether brokers are being ended for good. */
  isClosing(): boolean;
  /** Brokers that have failed since they were given replicas are taken out of the ISRs of these. */
  settle(begin: () => void): Promise<void>;
  /** Everybody sees these as they are now. */
  shown(topics: readonly TopicInfo[]): void;
  /** Nobody sees it any more. */
  gone(name: string): void;
}

/**
 * Topics are changed one after the other: ids and chunks are given out in order. Whoever asks waits for as long as was
 * said. What was begun is seen through also after that, so that brokers and clients have what is written down.
 */
export class TopicChanges {
  readonly #cluster: TopicCluster;
  /** By broker: what has to go there before it opens its logs. */
  readonly #owed = new Map<number, Map<string, string>>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(cluster: TopicCluster) {
    this.#cluster = cluster;
  }

  create(
    name: string,
    partitions: number,
    replicationFactor: number | undefined,
    config: TopicConfigInput,
    limitMs?: number,
  ): Promise<void> {
    const create = async (deadlineMs: number): Promise<void> => {
      const { topics, clock } = this.#cluster;
      if (topics.has(name))
        throw new TidemarkError('TOPIC_ALREADY_EXISTS', `Topic '${name}' exists already.`);
      for (;;) {
        const factor = this.#factorFor(replicationFactor);
        const command = {
          type: 'create-topic',
          name,
          partitions,
          replicationFactor: factor,
          config,
        } as const;
        // Written down first: whatever is left of a creation that a crash has cut short is made whole at the next start.
        await this.#submit(command, deadlineMs, () => topics.has(name));
        const topic = this.#known(name);
        const unmade = await this.#make(topic, topic.partitions).catch(async (error) => {
          await this.#takeBack(topic);
          throw notMade(name, error);
        });
        if (unmade === undefined) break;
        await this.#takeBack(topic);
        // Brokers that live get another topic of its name, as long as somebody waits for it.
        if (clock.nowMs() >= deadlineMs) throw notMade(name, diedMeanwhile(unmade));
      }
      await this.#show(name);
    };
    return this.#change(limitMs, create, () => unfinishedCreation(name));
  }

  /** A topic that is not made for some reason is not there. Without a quorum that is decided once there is one again. */
  async #takeBack(topic: KnownTopic): Promise<void> {
    const { name, partitions } = topic;
    const { topics, clock, isClosing } = this.#cluster;
    while (topics.has(name)) {
      if (isClosing()) throw cutShort(name);
      try {
        const deadlineMs = clock.nowMs() + CONTROL_TIMEOUT_MS;
        await this.#submit({ type: 'delete-topic', name }, deadlineMs, () => !topics.has(name));
      } catch (error) {
        if (!isUndecided(error)) throw error;
        await pause(clock, LOOK_MS);
      }
    }
    this.#owe(topic);
    await this.#tell({ type: 'remove', partitions: partitions.map(({ id }) => id) });
  }

  /** Its records go, and so do its files: at brokers that do not run, when they start. */
  delete(name: string, limitMs?: number): Promise<void> {
    return this.#change(limitMs, async (deadlineMs) => {
      const { topics, gone } = this.#cluster;
      const topic = this.#known(name);
      await this.#submit({ type: 'delete-topic', name }, deadlineMs, () => !topics.has(name));
      topics.hide(name);
      this.#owe(topic);
      await this.#tell({ type: 'remove', partitions: topic.partitions.map(({ id }) => id) });
      gone(name);
    });
  }

  /** Directories of topics that were deleted while that broker did not run, and whose they were. */
  takeOwed(broker: number): ReadonlyMap<string, string> {
    const owed = this.#owed.get(broker) ?? new Map<string, string>();
    this.#owed.delete(broker);
    return owed;
  }

  #owe({ topicId, partitions }: KnownTopic): void {
    for (const { handle } of this.#cluster.members.all) {
      // One whose disk has failed touches none of its files any more.
      const isAway = handle.hasEnded || handle.state === 'offline';
      const held = partitions.filter(({ replicas }) => isAway && replicas.includes(handle.id));
      const owed = this.#owed.get(handle.id) ?? new Map<string, string>();
      for (const { topic, partition } of held) owed.set(partitionDirectory(topic, partition), topicId);
      if (owed.size > 0) this.#owed.set(handle.id, owed);
    }
  }

  /** More partitions: `total` of them in all. */
  createPartitions(name: string, total: number, limitMs?: number): Promise<void> {
    return this.#change(limitMs, async (deadlineMs) => {
      const topic = this.#known(name);
      const { length } = topic.partitions;
      if (total <= length) {
        const sentence = `Topic '${name}' has ${length} partitions, and can only be given more; got ${total}.`;
        throw new TidemarkError('INVALID_PARTITIONS', sentence);
      }
      const command = { type: 'create-partitions', topic: name, count: total } as const;
      await this.#submit(command, deadlineMs, () => this.#known(name).partitions.length === total);
      const made = this.#known(name);
      const unmade = await this.#make(made, made.partitions.slice(length));
      await this.#show(name);
      if (unmade !== undefined) throw unledPartition(name, total, unmade);
    });
  }

  /** Properties that are set, and others that go back to their defaults. */
  configure(
    name: string,
    set: TopicConfigInput,
    remove: readonly PropertyName[],
    limitMs?: number,
  ): Promise<void> {
    return this.#change(limitMs, async (deadlineMs) => {
      const { topics } = this.#cluster;
      const topic = this.#known(name);
      const kept = Object.entries(topic.given).filter(([key]) => !remove.includes(key as PropertyName));
      const given: TopicConfigInput = { ...Object.fromEntries(kept), ...set };
      const config = topicConfig(given, topics.base);
      if (isCompacted(config) !== isCompacted(topic.config)) {
        const sentence = `Topic '${name}' cannot be changed between 'delete' and 'compact': its logs are laid out for the one or the other. Create another topic.`;
        throw new TidemarkError('INVALID_CONFIG', sentence);
      }
      const command = { type: 'alter-topic-config', topic: name, set, remove } as const;
      const isMade = (): boolean => {
        const holds = Object.entries(this.#known(name).config);
        return holds.every(([key, value]) => String(value) === String(config[key as PropertyName]));
      };
      await this.#submit(command, deadlineMs, isMade);
      await this.#tell({ type: 'configure', partitions: topic.partitions.map(({ id }) => id), config });
      await this.#show(name);
    });
  }

  #known(name: string): KnownTopic {
    const topic = this.#cluster.topics.known(name);
    if (topic !== undefined) return topic;
    throw new TidemarkError('UNKNOWN_TOPIC_OR_PARTITION', `There is no topic '${name}'.`);
  }

  /** Every thread that lives hears of it; those that hang, when they wake. */
  async #tell(request: ControlRequest): Promise<void> {
    const living = this.#cluster.members.all.filter(({ handle }) => !handle.hasEnded);
    const told = living.map(async ({ handle }) => {
      const { isAlive } = handle;
      const done = handle.request(request, isAlive ? CONTROL_TIMEOUT_MS : Number.POSITIVE_INFINITY);
      if (isAlive) await done;
      else done.catch(() => undefined);
    });
    await Promise.allSettled(told);
  }

  /** Does something that no change of a topic is to overlap with. It is not begun where its turn does not come in time. */
  inTurn<T>(act: () => Promise<T>, limitMs = ADMIN_TIMEOUT_DEFAULT_MS): Promise<T> {
    let state: 'waiting' | 'begun' | 'refused' = 'waiting';
    return new Promise((resolve, reject) => {
      const cancel = this.#cluster.clock.scheduleKept(limitMs, () => {
        state = 'refused';
        reject(notBegun());
      });
      this.#last = this.#last.then(async () => {
        if (state === 'refused') return;
        state = 'begun';
        cancel();
        await act().then(resolve, reject);
      });
    });
  }

  /** One change in its turn. It goes on when its time is over, but nobody waits for it any more. */
  #change(
    limitMs = ADMIN_TIMEOUT_DEFAULT_MS,
    act: (deadlineMs: number) => Promise<void>,
    late = unfinished,
  ): Promise<void> {
    const deadlineMs = this.#cluster.clock.nowMs() + limitMs;
    return new Promise((resolve, reject) => {
      const begin = async (): Promise<void> => {
        const done = act(deadlineMs);
        const { clock } = this.#cluster;
        timeLimit(clock, done, deadlineMs - clock.nowMs(), late).then(resolve, reject);
        await done.catch(() => undefined);
      };
      this.inTurn(begin, limitMs).catch(reject);
    });
  }

  /**
   * Resolves when the command has changed what it is to change. One whose fate nobody knows is waited for, since what
   * turns out to be written down has to be done as well.
   */
  async #submit(command: Command, deadlineMs: number, isMade: () => boolean): Promise<void> {
    const { submit } = this.#cluster;
    try {
      const leftMs = deadlineMs - this.#cluster.clock.nowMs();
      await submit(command, Math.max(leftMs - SAY_WHY_MS, leftMs / 2, 1));
    } catch (error) {
      if ((error as TidemarkError).code !== 'REQUEST_TIMED_OUT') throw error;
      await this.#decided();
      if (!isMade()) throw error;
    }
  }

  async #decided(): Promise<void> {
    for (;;) {
      const error = await this.#cluster.decided().then(
        () => undefined,
        (cause) => cause,
      );
      if (!isUndecided(error)) return;
      await pause(this.#cluster.clock, LOOK_MS);
    }
  }

  /** How many replicas, where so many brokers run; a refusal says why others do not. */
  #factorFor(replicationFactor: number | undefined): number {
    const { members, isLive, isEmptied } = this.#cluster;
    const candidates = members.all.map(({ handle: { id, state, error } }) => {
      if (state !== 'running') return { id, state, error };
      const running = isEmptied(id) ? 'being emptied' : state;
      return { id, state: isLive(id) ? running : 'stopping', error };
    });
    return brokersFor(replicationFactor, candidates).factor;
  }

  /**
   * Every broker that lives makes its replicas; others make theirs when they come back. The partition that nobody has
   * made, where there is one: it cannot be seen, since whoever comes back would miss what he does not find.
   */
  async #make(
    { topicId, config }: KnownTopic,
    infos: readonly PartitionInfo[],
  ): Promise<PartitionInfo | undefined> {
    const { members, isLive } = this.#cluster;
    const findings = await members.assign(
      infos.map((info) => ({ info, config, topicId, isKept: false })),
      CONTROL_TIMEOUT_MS,
      { isExcused: (id) => !isLive(id) },
    );
    const made = new Set<number>();
    for (const [broker, found] of findings) {
      for (const { id, state, error } of found.values()) {
        if (state === 'online') made.add(id);
        else if (isLive(broker))
          throw new TidemarkError('KAFKA_STORAGE_ERROR', `Broker ${broker} could not open its log: ${error}`);
      }
    }
    return infos.find(({ id }) => !made.has(id));
  }

  #show(name: string): Promise<void> {
    const { topics, shown, settle } = this.#cluster;
    return settle(() => {
      const wasSeen = topics.visible.has(name);
      const topic = topics.show(name);
      if (wasSeen) shown([topic]);
    });
  }
}

function notBegun(): TidemarkError {
  return new TidemarkError(
    'NOT_CONTROLLER',
    'Nothing was changed, because changes that were asked for before are not through yet: too few brokers with a vote on the metadata may run, or one of them hangs. Look at the status, and try again.',
  );
}

function unfinished(): TidemarkError {
  return new TidemarkError(
    'REQUEST_TIMED_OUT',
    'The change has not come through in time, and goes on: too few brokers with a vote on the metadata may run, or one of them hangs. Look at the status, and try again.',
  );
}

/** Of a creation: the reason, and that nothing is left of it. */
function notMade(name: string, cause: unknown): TidemarkError {
  const { code = 'BROKER_FAILED', message } = cause as TidemarkError;
  const sentence = `Topic '${name}' was not made, and is not there: ${message.replace(/\.?$/, '.')} Create it again.`;
  return new TidemarkError(code, sentence, { cause });
}

function cutShort(name: string): TidemarkError {
  return new TidemarkError(
    'CLOSED',
    `The cluster was closed while topic '${name}' was being made: where its directory is kept, the next start brings it.`,
  );
}

function diedMeanwhile({ partition, replicas }: PartitionInfo): TidemarkError {
  return new TidemarkError(
    'BROKER_FAILED',
    `The brokers that were to have partition ${partition} (${replicas.join(', ')}) have died meanwhile`,
  );
}

function unledPartition(name: string, total: number, { partition, replicas }: PartitionInfo): TidemarkError {
  return new TidemarkError(
    'BROKER_FAILED',
    `Topic '${name}' has ${total} partitions now, but the brokers that were to have partition ${partition} (${replicas.join(', ')}) have died before they had made it. It has no records: give it to others with admin.reassign, and then call admin.electLeaders({ topics: ['${name}'], type: 'unclean' }).`,
  );
}

function unfinishedCreation(name: string): TidemarkError {
  return new TidemarkError(
    'REQUEST_TIMED_OUT',
    `Topic '${name}' was not made in time, and may be there later: its creation goes on until it is made or taken back. Too few brokers with a vote on the metadata may run, or one of them hangs. Look at the status, and create it again: TOPIC_ALREADY_EXISTS then says that it is there.`,
  );
}
