import { checkTopicName } from '../core/metadata/topic-name.ts';
import { show, TidemarkError } from '../errors.ts';

/** What is no string names no topic, and is refused as a wrong argument is. */
export function requireTopicName(name: unknown): asserts name is string {
  if (typeof name !== 'string')
    throw new TidemarkError('INVALID_ARGUMENT', `A topic is named by a string; got ${show(name)}.`);
}

/** Of a topic that there is not. A name that none can have is refused as such: nobody could create it. */
export function unknownTopic(name: string): TidemarkError {
  checkTopicName(name);
  return new TidemarkError(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `There is no topic ${show(name)}. Create it first, for example with cluster.admin.createTopic(${show(name)}).`,
  );
}
