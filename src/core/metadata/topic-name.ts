import { show, TidemarkError } from '../../errors.ts';

const NAME_MAX = 249;

/** Kafka's rules: the names become names of files and of metrics. */
export function checkTopicName(name: unknown): asserts name is string {
  const legal = typeof name === 'string' && /^[a-zA-Z0-9._-]+$/.test(name) && name !== '.' && name !== '..';
  if (legal && name.length <= NAME_MAX) return;
  throw new TidemarkError(
    'INVALID_TOPIC_EXCEPTION',
    `A topic's name must have 1 to ${NAME_MAX} letters, digits, '.', '_' or '-', and not be '.' or '..'; got ${show(name)}.`,
  );
}
