import type { TopicInfo } from '../runtime/topics.ts';

/** Topics that have changed, and those that are gone. */
export interface TopicNotice {
  /** The cluster's, after these changes. */
  readonly version: number;
  readonly changed: readonly TopicInfo[];
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

  change({ version, changed, removed }: TopicNotice): void {
    this.#version = version;
    for (const topic of changed) if (this.#byName.has(topic.name)) this.#byName.set(topic.name, topic);
    for (const name of removed) this.#byName.delete(name);
  }
}
