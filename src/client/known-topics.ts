import type { TopicInfo } from '../runtime/topics.ts';
import type { PartitionInfo } from '../types.ts';

/** A topic that has changed, with those of its partitions that have. */
export interface TopicChange extends Omit<TopicInfo, 'partitions'> {
  readonly changed: readonly PartitionInfo[];
}

/** Topics that have changed, and those that are gone. */
export interface TopicNotice {
  /** The cluster's, after these changes. */
  readonly version: number;
  /** Up to which entry of their log these are the metadata. */
  readonly offset: number;
  readonly changed: readonly TopicChange[];
  readonly removed: readonly string[];
}

/** A topic as the cluster had it when that was its version; undefined where there was none of that name. */
export interface TopicAnswer {
  readonly version: number;
  readonly topic: TopicInfo | undefined;
}

const TRIES_MAX = 5;

/** What a thread other than the cluster's own knows of topics: those that it has asked for, kept true by notices. */
export class KnownTopics {
  readonly #byName = new Map<string, TopicInfo>();
  #version = 0;
  #offset = 0;

  /** Up to which entry of their log this thread goes by the metadata. */
  get offset(): number {
    return this.#offset;
  }

  get(name: string): TopicInfo | undefined {
    return this.#byName.get(name);
  }

  /** An answer that is older than what a notice has said meanwhile is asked for again. */
  async find(name: string, ask: (name: string) => Promise<TopicAnswer>): Promise<TopicInfo | undefined> {
    let answer = await ask(name);
    for (let tries = 1; answer.version < this.#version && tries < TRIES_MAX; tries++)
      answer = await ask(name);
    if (answer.topic !== undefined) this.#byName.set(name, answer.topic);
    return answer.topic;
  }

  change({ version, offset, changed, removed }: TopicNotice): void {
    this.#version = version;
    this.#offset = offset;
    for (const topic of changed) this.#take(topic);
    for (const name of removed) this.#byName.delete(name);
  }
  /** Notices come in order, and none is missing: what one does not name is as it was. */
  #take({ changed, ...topic }: TopicChange): void {
    const known = this.#byName.get(topic.name);
    if (known === undefined) return;
    const partitions = known.partitions.slice();
    for (const info of changed) partitions[info.partition] = info;
    this.#byName.set(topic.name, { ...topic, partitions });
  }
}
