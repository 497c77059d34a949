import { didYouMean } from './did-you-mean.ts';
import { isPlainObject, show, TidemarkError } from './errors.ts';
import {
  MESSAGE_DEFAULT_BYTES,
  MESSAGE_MAX_BYTES,
  PRODUCER_EXPIRATION_MIN_MS,
  SEGMENT_MIN_BYTES,
} from './limits.ts';
import type { Durability } from './types.ts';

/** Rows of the table from which validation, defaults, help and documentation come. Names are Kafka's. */
export type Property = WholeNumber | Fraction | Choice;

interface WholeNumber {
  readonly kind: 'whole number';
  readonly unit?: 'bytes' | 'ms';
  readonly default: number;
  /** Where it is another one in memory, which has to be bounded. */
  readonly memoryDefault?: number;
  readonly min: number;
  readonly max: number;
  /** What a default of -1 comes to. */
  readonly unlimited?: string;
  readonly help: string;
}

interface Fraction {
  readonly kind: 'fraction';
  readonly default: number;
  readonly help: string;
}

interface Choice {
  readonly kind: 'choice' | 'list';
  readonly default: string;
  /** Of a list: every combination, its parts in the order of the alphabet. */
  readonly choices: readonly string[];
  readonly help: string;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Kafka's largest is 2^63 - 1, which no number is; whoever asks for that means that there shall be no bound. */
const NO_BOUND = Number.MAX_SAFE_INTEGER;

const topicProperties = {
  'cleanup.policy': {
    kind: 'list',
    default: 'delete',
    choices: ['delete', 'compact', 'compact,delete'],
    help: 'What happens to old records: delete drops segments by age and size, compact keeps the last record of each key.',
  },
  'compression.type': {
    kind: 'choice',
    default: 'producer',
    choices: ['producer'],
    help: 'Batches are stored as the producer has compressed them; brokers never compress them anew.',
  },
  'delete.retention.ms': {
    kind: 'whole number',
    unit: 'ms',
    default: DAY_MS,
    min: 0,
    max: NO_BOUND,
    help: 'Compaction: how long a tombstone stays, so that readers learn of it.',
  },
  'index.interval.bytes': {
    kind: 'whole number',
    unit: 'bytes',
    default: 4 * KIB,
    min: 0,
    max: 0x7fff_ffff,
    help: 'After about how much of a segment its index gets another entry.',
  },
  'max.compaction.lag.ms': {
    kind: 'whole number',
    unit: 'ms',
    default: NO_BOUND,
    min: 1,
    max: NO_BOUND,
    unlimited: 'no bound',
    help: 'Compaction: after how long a record is compacted at the latest, whatever the dirty ratio.',
  },
  'max.message.bytes': {
    kind: 'whole number',
    unit: 'bytes',
    default: MESSAGE_DEFAULT_BYTES,
    min: 128,
    max: MESSAGE_MAX_BYTES,
    help: 'The largest batch of records a partition takes, and so the largest record.',
  },
  'message.timestamp.type': {
    kind: 'choice',
    default: 'CreateTime',
    choices: ['CreateTime', 'LogAppendTime'],
    help: 'Whose time records carry: that of the producer, or of the leader when it appends them.',
  },
  'min.cleanable.dirty.ratio': {
    kind: 'fraction',
    default: 0.5,
    help: 'Compaction: which part of a log has to be new before it is compacted again.',
  },
  'min.compaction.lag.ms': {
    kind: 'whole number',
    unit: 'ms',
    default: 0,
    min: 0,
    max: NO_BOUND,
    help: 'Compaction: how long every record stays at least.',
  },
  'min.insync.replicas': {
    kind: 'whole number',
    default: 1,
    min: 1,
    max: 128,
    help: 'With acks=all: how many replicas must be in sync for a write to be taken.',
  },
  'producer.id.expiration.ms': {
    kind: 'whole number',
    unit: 'ms',
    default: DAY_MS,
    min: PRODUCER_EXPIRATION_MIN_MS,
    max: 0x7fff_ffff,
    help: 'For how long a partition remembers an idempotent producer that writes nothing.',
  },
  'replica.lag.max.messages': {
    kind: 'whole number',
    default: -1,
    min: -1,
    max: NO_BOUND,
    unlimited: 'no bound',
    help: 'How many records a replica in sync may be behind its leader, for longer than a burst; it is back in sync within half of them. Kafka had this once; -1 goes by time alone.',
  },
  'replica.lag.time.max.ms': {
    kind: 'whole number',
    unit: 'ms',
    // A third of Kafka's: between threads nothing gets lost. Three sessions: one that hangs is found by its silence first.
    default: 10_000,
    min: 500,
    max: NO_BOUND,
    help: 'A replica that has not been caught up with its leader for this long is no longer in sync, and writes do not wait for it; it comes back by itself.',
  },
  'retention.bytes': {
    kind: 'whole number',
    unit: 'bytes',
    default: -1,
    memoryDefault: 64 * MIB,
    min: -1,
    max: NO_BOUND,
    unlimited: 'everything',
    help: 'How much of a partition is kept at least, on each replica, before its oldest segments go; -1 keeps everything.',
  },
  'retention.ms': {
    kind: 'whole number',
    unit: 'ms',
    default: 7 * DAY_MS,
    // Memory is bounded by size. By time it would lose what somebody has just written with an old timestamp.
    memoryDefault: -1,
    min: -1,
    max: NO_BOUND,
    unlimited: 'for ever',
    help: 'How long records are kept at least, by their timestamps, before their segments go; -1 keeps them for ever.',
  },
  'segment.bytes': {
    kind: 'whole number',
    unit: 'bytes',
    default: 64 * MIB,
    memoryDefault: 4 * MIB,
    min: SEGMENT_MIN_BYTES,
    max: 1024 * MIB,
    help: 'The size at which a new segment of a partition is begun; a larger batch gets a segment of its own.',
  },
  'segment.ms': {
    kind: 'whole number',
    unit: 'ms',
    default: 7 * DAY_MS,
    min: 1,
    max: NO_BOUND,
    help: 'The age at which a new segment is begun, though the old one is not full.',
  },
  'unclean.leader.election.enable': {
    kind: 'choice',
    default: 'false',
    choices: ['true', 'false'],
    help: 'Whether a replica that may lack acknowledged records leads where no other one can.',
  },
} as const satisfies Record<string, Property>;

type Table = typeof topicProperties;
export type PropertyName = keyof Table;

type ValueOf<Row> = Row extends { readonly choices: readonly (infer Value)[] } ? Value : number;
/**
 * Numbers and truth values may come as strings, since that is how Kafka's clients send them; lists in any order, or as
 * arrays.
 */
type InputOf<Row> = Row extends { readonly kind: 'list' }
  ? ValueOf<Row> | 'delete,compact' | readonly ('delete' | 'compact')[]
  : Row extends { readonly kind: 'choice' }
    ? ValueOf<Row> | ('true' extends ValueOf<Row> ? boolean : never)
    : number | `${number}`;

export type TopicConfig = { readonly [name in PropertyName]: ValueOf<Table[name]> };
export type TopicConfigInput = { readonly [name in PropertyName]?: InputOf<Table[name]> };

const properties: Readonly<Record<string, Property>> = topicProperties;

const memoryDefaults = defaultsOf((property) => memoryDefaultOf(property));
const diskDefaults = defaultsOf((property) => property.default);

function defaultsOf(pick: (property: Property) => number | string): TopicConfig {
  const values = Object.entries(properties).map(([name, property]) => [name, pick(property)]);
  return Object.fromEntries(values) as TopicConfig;
}

function memoryDefaultOf(property: Property): number | string {
  return property.kind === 'whole number' ? (property.memoryDefault ?? property.default) : property.default;
}

/** Whether compaction works on a topic, alone or beside deletion: then its records need keys, and its offsets have gaps. */
export function isCompacted(config: TopicConfig): boolean {
  return config['cleanup.policy'] !== 'delete';
}

/** What holds where nothing is configured: memory is bounded by size, disks by time, as Kafka does it. */
export function topicDefaults(durability: Durability): TopicConfig {
  return durability === 'memory' ? memoryDefaults : diskDefaults;
}

/** Checks what a user gave and lays it over `base`; every refusal names the property and its bounds. */
export function topicConfig(
  input: TopicConfigInput | undefined,
  base: TopicConfig = memoryDefaults,
): TopicConfig {
  if (input === undefined) return base;
  if (!isPlainObject(input)) {
    throw new TidemarkError(
      'INVALID_CONFIG',
      `config must be a plain object of Kafka's property names and their values, such as { 'retention.ms': 60000 }; got ${show(input)}.`,
    );
  }
  const config: Record<string, number | string> = { ...base };
  for (const [name, value] of Object.entries(input)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(properties, name)) {
      const meant = didYouMean(name, Object.keys(properties));
      const advice = meant === '' ? ' `npx tidemark topic-properties` lists those that there are.' : meant;
      throw new TidemarkError('INVALID_CONFIG', `Unknown configuration property '${name}'.${advice}`);
    }
    config[name] = acceptProperty(name, properties[name], value);
  }
  const accepted = config as TopicConfig;
  if (accepted['min.compaction.lag.ms'] > accepted['max.compaction.lag.ms']) {
    throw new TidemarkError(
      'INVALID_CONFIG',
      `'min.compaction.lag.ms' must not be above 'max.compaction.lag.ms'; they are ` +
        `${accepted['min.compaction.lag.ms']} and ${accepted['max.compaction.lag.ms']}.`,
    );
  }
  return accepted;
}

/** A value as it is kept; a refusal names the property and its bounds. */
export function acceptProperty(name: string, property: Property, value: unknown): number | string {
  const accepted =
    property.kind === 'whole number' ? acceptWhole(property, value) : acceptOther(property, value);
  if (accepted !== undefined) return accepted;
  throw new TidemarkError('INVALID_CONFIG', `'${name}' must be ${bounds(property)}; got ${show(value)}.`);
}

function acceptWhole({ min, max }: WholeNumber, value: unknown): number | undefined {
  let number = value;
  if (typeof value === 'string' && /^\s*[+-]?\d+\s*$/.test(value)) {
    number = max === NO_BOUND ? Math.min(Number(value), NO_BOUND) : Number(value);
  }
  const isWithin = typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max;
  return isWithin ? (number as number) : undefined;
}

function acceptOther(property: Fraction | Choice, value: unknown): number | string | undefined {
  if (property.kind === 'fraction') {
    const isText = typeof value === 'string' && /^\s*\+?(\d+\.?\d*|\.\d+)\s*$/.test(value);
    const number = isText ? Number(value) : value;
    return typeof number === 'number' && number >= 0 && number <= 1 ? number : undefined;
  }
  const plain = typeof value === 'boolean' ? String(value) : value;
  const parts = property.kind === 'list' ? partsOf(plain) : plain;
  return property.choices.find((choice) => choice === parts);
}

/** A list in the order of the alphabet; undefined where something stands twice. */
function partsOf(value: unknown): string | undefined {
  const parts = typeof value === 'string' ? value.split(',') : value;
  if (!Array.isArray(parts) || !parts.every((part) => typeof part === 'string')) return undefined;
  const trimmed = parts.map((part) => part.trim());
  return new Set(trimmed).size === trimmed.length ? trimmed.sort().join(',') : undefined;
}

function bounds(property: Property): string {
  if (property.kind === 'whole number') return `a whole number from ${property.min} to ${property.max}`;
  if (property.kind === 'fraction') return 'a number from 0 to 1';
  const { choices } = property;
  return choices.length === 1 ? `'${choices[0]}'` : `one of ${choices.map(show).join(', ')}`;
}

/** A property in words, for help and documentation. */
export interface PropertyDescription {
  readonly name: string;
  readonly kind: Property['kind'];
  /** Which values it takes. */
  readonly values: string;
  readonly default: string;
  /** Where it is another one with durability 'memory'. */
  readonly memoryDefault: string | undefined;
  readonly help: string;
}

export function describeProperties(): PropertyDescription[] {
  return Object.entries(properties).map(([name, property]) => {
    const inMemory = memoryDefaultOf(property);
    return {
      name,
      kind: property.kind,
      values: describeValues(property),
      default: describeValue(property, property.default),
      memoryDefault: inMemory === property.default ? undefined : describeValue(property, inMemory),
      help: property.help,
    };
  });
}

function describeValues(property: Property): string {
  if (property.kind === 'fraction') return '0 to 1';
  if (property.kind !== 'whole number') return property.choices.join(' | ');
  const { min, max } = property;
  return max === NO_BOUND ? `from ${min}` : `${min} to ${max}`;
}

const sizes: readonly (readonly [string, number])[] = [
  ['GiB', 1024 * MIB],
  ['MiB', MIB],
  ['KiB', KIB],
];
const spans: readonly (readonly [string, number])[] = [
  ['days', DAY_MS],
  ['hours', HOUR_MS],
];

/** A value, and behind it what it comes to where that is easier to read. */
function describeValue(property: Property, value: number | string): string {
  if (property.kind !== 'whole number' || typeof value === 'string') return String(value);
  if (property.unlimited !== undefined && (value === -1 || value === NO_BOUND)) {
    return value === -1 ? `-1 (${property.unlimited})` : property.unlimited;
  }
  const units = property.unit === 'bytes' ? sizes : property.unit === 'ms' ? spans : [];
  const unit = units.find(([, size]) => value > size && value % size === 0);
  return unit === undefined ? String(value) : `${value} (${value / unit[1]} ${unit[0]})`;
}
