import { acceptProperty, type Property, type TopicConfigInput } from './config.ts';
import { isPlainObject } from './errors.ts';

/** What holds for a whole cluster, under Kafka's names and with its defaults. */
const clusterProperties = {
  'auto.leader.rebalance.enable': {
    kind: 'choice',
    default: 'true',
    choices: ['true', 'false'],
    help: 'Whether preferred leaders that are in sync lead again by themselves.',
  },
  'leader.imbalance.check.interval.seconds': {
    kind: 'whole number',
    default: 300,
    min: 1,
    max: 86_400,
    help: 'How often that is looked after.',
  },
} as const satisfies Record<string, Property>;

export interface ClusterConfigInput {
  readonly 'auto.leader.rebalance.enable'?: boolean | 'true' | 'false';
  readonly 'leader.imbalance.check.interval.seconds'?: number | `${number}`;
}

export interface ClusterConfig {
  /** undefined: never by themselves. */
  readonly rebalanceEveryMs: number | undefined;
  /** What is left, for topics. */
  readonly topics: TopicConfigInput | undefined;
}

/** Takes what is the cluster's own out of what was given for both. */
export function clusterConfig(given: unknown): ClusterConfig {
  // What else it may be is told with what topics take.
  const entries = isPlainObject(given) ? Object.entries(given) : [];
  const isOwn = ([name]: [string, unknown]): boolean => Object.hasOwn(clusterProperties, name);
  const own = new Map(entries.filter((entry) => isOwn(entry) && entry[1] !== undefined));
  const settingOf = (name: keyof typeof clusterProperties): number | string => {
    const property = clusterProperties[name];
    return own.has(name) ? acceptProperty(name, property, own.get(name)) : property.default;
  };
  const isEnabled = settingOf('auto.leader.rebalance.enable') === 'true';
  const everyMs = Number(settingOf('leader.imbalance.check.interval.seconds')) * 1_000;
  const topics = isPlainObject(given) ? Object.fromEntries(entries.filter((entry) => !isOwn(entry))) : given;
  return {
    rebalanceEveryMs: isEnabled ? everyMs : undefined,
    topics: topics as TopicConfigInput | undefined,
  };
}
