import { show, TidemarkError } from '../../errors.ts';

const NAME_MAX = 249;

/** Under which the metadata's own log lies beside the partitions of a broker. */
export const METADATA_TOPIC = '__cluster_metadata';

/** Kafka's rules: the names become names of files and of metrics. */
export function checkTopicName(name: unknown): asserts name is string {
  const legal = typeof name === 'string' && /^[a-zA-Z0-9._-]+$/.test(name) && name !== '.' && name !== '..';
  if (legal && name.length <= NAME_MAX) return;
  throw new TidemarkError(
    'INVALID_TOPIC_EXCEPTION',
    `A topic's name must have 1 to ${NAME_MAX} letters, digits, '.', '_' or '-', and not be '.' or '..'; got ${show(name)}.`,
  );
}

/** Of a topic that is to be made: beside those that cannot be, a name that is taken already. */
export function checkNewTopicName(name: unknown): asserts name is string {
  checkTopicName(name);
  // Some file systems take names that differ in case for the same one.
  if (name.toLowerCase() !== METADATA_TOPIC) return;
  throw new TidemarkError(
    'INVALID_TOPIC_EXCEPTION',
    `The name '${METADATA_TOPIC}' is that of the cluster's own metadata, whose log lies beside those of the topics; choose another one.`,
  );
}
