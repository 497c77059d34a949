import { didYouMean } from './did-you-mean.ts';
import { show, TidemarkError } from './errors.ts';
import { MESSAGE_DEFAULT_BYTES, MESSAGE_MAX_BYTES, SEGMENT_START_BYTES } from './limits.ts';

/** One row of the table from which validation, defaults and help come. Names are Kafka's. */
interface Property {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly help: string;
}

const MIB = 1024 * 1024;

const topicProperties = {
  'max.message.bytes': {
    default: MESSAGE_DEFAULT_BYTES,
    min: 128,
    max: MESSAGE_MAX_BYTES,
    help: 'The largest batch of records a partition takes, in bytes.',
  },
  'min.insync.replicas': {
    default: 1,
    min: 1,
    max: 128,
    help: 'With acks=all: how many replicas must be in sync for a write to be taken.',
  },
  'retention.bytes': {
    default: 64 * MIB,
    min: -1,
    max: Number.MAX_SAFE_INTEGER,
    help: 'How much of a partition is kept at least before its oldest segments go; -1 keeps everything.',
  },
  'segment.bytes': {
    default: 4 * MIB,
    min: SEGMENT_START_BYTES,
    max: 1024 * MIB,
    help: 'The size at which a new segment of a partition is begun.',
  },
} as const satisfies Record<string, Property>;

export type PropertyName = keyof typeof topicProperties;
export type TopicConfig = { readonly [name in PropertyName]: number };
export type TopicConfigInput = { readonly [name in PropertyName]?: number };

const defaults = Object.fromEntries(
  Object.entries(topicProperties).map(([name, property]) => [name, property.default]),
) as TopicConfig;

/** Checks what a user gave and lays it over `base`; every refusal names the property and its bounds. */
export function topicConfig(input: TopicConfigInput | undefined, base: TopicConfig = defaults): TopicConfig {
  if (input === undefined) return base;
  if (input === null || typeof input !== 'object') {
    throw new TidemarkError(
      'INVALID_CONFIG',
      `config must be an object of Kafka's property names; got ${show(input)}.`,
    );
  }
  const config: Record<string, number> = { ...base };
  for (const [name, value] of Object.entries(input)) {
    if (value === undefined) continue;
    const property: Property | undefined = topicProperties[name as PropertyName];
    if (property === undefined || !Object.hasOwn(topicProperties, name)) {
      throw new TidemarkError(
        'INVALID_CONFIG',
        `Unknown configuration property '${name}'.${didYouMean(name, Object.keys(topicProperties))}`,
      );
    }
    if (
      typeof value !== 'number' ||
      !Number.isInteger(value) ||
      value < property.min ||
      value > property.max
    ) {
      throw new TidemarkError(
        'INVALID_CONFIG',
        `'${name}' must be a whole number from ${property.min} to ${property.max}; got ${show(value)}.`,
      );
    }
    config[name] = value;
  }
  return config as TopicConfig;
}
