// The data of `config` entries, and which configuration held at which index of a log.
import { assert } from './assert.ts';
import { type Configuration, type Entry, isSameMember, type Member } from './types.ts';

export const emptyConfiguration: Configuration = { voters: [] };

export function encodeConfiguration({ voters }: Configuration): Uint8Array {
  const plain = voters.map(({ id, directoryId }) => ({ id, directoryId }));
  return new TextEncoder().encode(JSON.stringify({ voters: plain }));
}

/** A log that was read from a disk may hold anything: what is no configuration is refused with a sentence. */
export function decodeConfiguration(data: Uint8Array): Configuration {
  const text = new TextDecoder().decode(data);
  const voters = votersIn(text);
  if (voters === undefined) {
    throw new Error(`The entry of the metadata log is no list of voters: ${text.slice(0, 100)}`);
  }
  return checkedConfiguration({ voters });
}

function votersIn(text: string): Member[] | undefined {
  let value: { voters?: unknown } | null;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (value === null || typeof value !== 'object' || !Array.isArray(value.voters)) return undefined;
  const voters: Member[] = [];
  for (const voter of value.voters) {
    if (!Number.isSafeInteger(voter?.id) || typeof voter.directoryId !== 'string') return undefined;
    voters.push({ id: voter.id, directoryId: voter.directoryId });
  }
  return voters;
}

/** Frozen, in the order of the ids, each id once. */
export function checkedConfiguration({ voters }: Configuration): Configuration {
  const sorted = [...voters].sort((one, other) => one.id - other.id);
  for (let at = 1; at < sorted.length; at++) {
    assert(sorted[at - 1].id !== sorted[at].id, `voter ${sorted[at].id} stands in a configuration twice`);
  }
  return Object.freeze({ voters: Object.freeze(sorted) });
}

export function votersWith({ voters }: Configuration, voter: Member): Configuration {
  return checkedConfiguration({ voters: [...voters, voter] });
}

export function votersWithout({ voters }: Configuration, voter: Member): Configuration {
  return checkedConfiguration({ voters: voters.filter((other) => !isSameMember(other, voter)) });
}

export function isVoter({ voters }: Configuration, member: Member): boolean {
  return voters.some((voter) => isSameMember(voter, member));
}

/** The configurations of one log: the one of its snapshot (or bootstrap), and those of the entries above it. */
export class ConfigurationHistory {
  /** By index, rising. The first is the base, which is committed; the last holds. */
  #held: { readonly index: number; readonly configuration: Configuration }[];

  constructor(index: number, base: Configuration) {
    this.#held = [{ index, configuration: checkedConfiguration(base) }];
  }

  get latest(): Configuration {
    return this.#held[this.#held.length - 1].configuration;
  }

  /** Where the latest stands in the log. */
  get latestIndex(): number {
    return this.#held[this.#held.length - 1].index;
  }

  /** What held after the entry `index`. */
  at(index: number): Configuration {
    const found = this.#held.findLast((held) => held.index <= index);
    assert(found !== undefined, `nobody knows any more who voted at ${index}`);
    return found.configuration;
  }

  /** Whether the member votes by what held at `index`, or by anything later. */
  isVoterSince(index: number, member: Member): boolean {
    const since = this.#held.findLastIndex((held) => held.index <= index);
    return this.#held.slice(since).some(({ configuration }) => isVoter(configuration, member));
  }

  append({ index, kind, data }: Entry): void {
    if (kind !== 'config') return;
    assert(index > this.latestIndex, `configurations stand out of order at ${index}`);
    this.#held.push({ index, configuration: decodeConfiguration(data) });
  }

  truncateFrom(index: number): void {
    assert(index > this.#held[0].index, `the configuration at ${this.#held[0].index} is committed`);
    while (this.latestIndex >= index) this.#held.pop();
  }

  /** Forgets what held before `index`. */
  compact(index: number): void {
    const configuration = this.at(index);
    this.#held = [{ index, configuration }, ...this.#held.filter((held) => held.index > index)];
  }

  restart(index: number, configuration: Configuration): void {
    this.#held = [{ index, configuration: checkedConfiguration(configuration) }];
  }
}
