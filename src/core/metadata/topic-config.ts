import { type PropertyName, type TopicConfig, type TopicConfigInput, topicConfig } from '../../config.ts';
import { didYouMean } from '../../did-you-mean.ts';
import { show, TidemarkError } from '../../errors.ts';
import { inOrder, type MetadataImage } from './image.ts';
import { existingTopic } from './lookups.ts';
import { ALL_BROKERS, type ConfigValues } from './records.ts';

type Given = { readonly [name: string]: unknown };
type Of = { readonly topic: string };

/** What holds for a topic: what it was given, over what the cluster was given, over the defaults. */
export function configOfTopic(image: MetadataImage, name: string, defaults: TopicConfig): TopicConfig {
  return checked(existingTopic(image, name).config, clusterDefaults(image, defaults));
}

/** What holds for topics that were given nothing. */
export function clusterDefaults(image: MetadataImage, defaults: TopicConfig): TopicConfig {
  return checked(image.brokerConfig(ALL_BROKERS), defaults);
}

/** How many have to be in sync with a partition for anything of it to be committed. */
export function minInSync(image: MetadataImage, { topic }: Of, defaults: TopicConfig): number {
  return Number(propertyOf(image, topic, 'min.insync.replicas', defaults));
}

/** Whether somebody may lead a partition who may lack what was acknowledged. */
export function mayElectUnclean(image: MetadataImage, { topic }: Of, defaults: TopicConfig): boolean {
  return propertyOf(image, topic, 'unclean.leader.election.enable', defaults) === 'true';
}

/** One property alone, as it was accepted: for who asks of thousands of partitions. */
function propertyOf(
  image: MetadataImage,
  topic: string,
  name: PropertyName,
  defaults: TopicConfig,
): string | number {
  const given = image.topic(topic)?.config[name];
  return given ?? image.brokerConfig(ALL_BROKERS)[name] ?? defaults[name];
}

/** What somebody gives, as it is kept: a number is a number, however it was written. */
export function acceptConfig(given: Given | undefined, base: TopicConfig): ConfigValues {
  const accepted = checked(given, base);
  const names = Object.keys(given ?? {}).filter((name) => given?.[name] !== undefined);
  return keptOf(names, accepted);
}

/** What was given before, with what is set and without what is removed. Removing what is not there is no fault. */
export function alterConfig(
  before: ConfigValues,
  set: Given | undefined,
  remove: readonly string[] | undefined,
  base: TopicConfig,
): ConfigValues {
  if (remove !== undefined && !Array.isArray(remove)) {
    throw new TidemarkError(
      'INVALID_CONFIG',
      `What is removed must be a list of names; got ${show(remove)}.`,
    );
  }
  const removed = new Set<string>(remove ?? []);
  for (const name of removed) checkRemoved(name, set, base);
  // By itself first: the spread below would make something of whatever it is.
  if (set !== undefined) checked(set, undefined);
  const kept = Object.entries({ ...before, ...set }).filter(([name]) => !removed.has(name));
  return acceptConfig(Object.fromEntries(kept), base);
}

function checkRemoved(name: string, set: Given | undefined, base: TopicConfig): void {
  if (!Object.hasOwn(base, name)) {
    const advice = didYouMean(String(name), Object.keys(base));
    throw new TidemarkError('INVALID_CONFIG', `Unknown configuration property ${show(name)}.${advice}`);
  }
  if (set?.[name] === undefined) return;
  throw new TidemarkError('INVALID_CONFIG', `'${name}' cannot be set and removed at once; choose one.`);
}

function checked(given: Given | undefined, base: TopicConfig | undefined): TopicConfig {
  return topicConfig(given as TopicConfigInput | undefined, base);
}

function keptOf(names: readonly string[], accepted: TopicConfig): ConfigValues {
  const values: ConfigValues = accepted;
  return inOrder(Object.fromEntries(names.map((name) => [name, values[name]])));
}
