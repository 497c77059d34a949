import { requireInteger, requireOneOf, requireOptions, show, TidemarkError } from '../errors.ts';

/** A partition, and the brokers that are to hold it. */
export interface PartitionReplicas {
  readonly topic: string;
  readonly partition: number;
  /** The preferred leader first. */
  readonly replicas: readonly number[];
}

export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

/** What people name a broker by; whether there is such a one the cluster says. */
export function checkBroker(id: unknown, what = 'the id of a broker'): number {
  return requireInteger(what, id, 1);
}

/** What people hand in about partitions and their replicas; whether there are such the cluster says. */
export function checkReassignments(given: unknown): PartitionReplicas[] {
  return checkList('reassign', given, (each) => {
    requireOptions('a reassignment', each, ['topic', 'partition', 'replicas']);
    const { replicas } = each as { replicas?: unknown };
    if (!Array.isArray(replicas)) {
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `replicas must be an array of broker ids, the preferred leader first; got ${show(replicas)}.`,
      );
    }
    return { ...nameOf(each), replicas: replicas.map((id) => requireInteger('a replica', id, 1)) };
  });
}

export function checkPartitionNames(given: unknown): PartitionName[] {
  return checkList('cancelReassignments', given, (each) => {
    requireOptions('a partition', each, ['topic', 'partition']);
    return nameOf(each);
  });
}

export function checkTopicList(given: unknown): string[] | undefined {
  if (given === undefined) return undefined;
  return checkNames('topics', 'topics', given);
}

/** A list of names of something. */
export function checkNames(what: string, ofWhat: string, given: unknown): string[] {
  const wrong = Array.isArray(given) ? given.findIndex((name) => typeof name !== 'string') : undefined;
  if (wrong === -1) return [...(given as string[])];
  const got = wrong === undefined ? show(given) : `${show((given as unknown[])[wrong])} in it`;
  throw new TidemarkError(
    'INVALID_ARGUMENT',
    `${what} must be an array of the names of ${ofWhat}; got ${got}.`,
  );
}

export function checkThrottle(given: unknown): number | undefined {
  return given === undefined ? undefined : requireInteger('throttleBytesPerSecond', given, 1);
}

function checkList<T>(call: string, given: unknown, check: (each: unknown) => T): T[] {
  if (Array.isArray(given) && given.length > 0) return given.map(check);
  const [orElse, replicas] =
    call === 'reassign' ? ['the name of a topic, or ', ', replicas: [1, 2]'] : ['', ''];
  throw new TidemarkError(
    'INVALID_ARGUMENT',
    `${call} takes ${orElse}an array of partitions, such as [{ topic: 'orders', partition: 0${replicas} }]; got ${show(given)}.`,
  );
}

function nameOf(each: unknown): PartitionName {
  const { topic, partition } = each as { topic?: unknown; partition?: unknown };
  if (typeof topic !== 'string')
    throw new TidemarkError('INVALID_ARGUMENT', `topic must be the name of a topic; got ${show(topic)}.`);
  return { topic, partition: requireInteger('partition', partition, 0) };
}

export interface RemoveBrokerOptions {
  /** Move its replicas to other brokers first. */
  readonly reassign?: boolean;
  /** As for admin.reassign. */
  readonly throttleBytesPerSecond?: number;
  /** How long the moving may take; default ten minutes. What is under way by then goes on. */
  readonly timeoutMs?: number;
}

const DRAIN_DEFAULT_MS = 600_000;

export function checkRemoval(options: RemoveBrokerOptions): {
  readonly reassign: boolean;
  readonly throttle: number | undefined;
  readonly timeoutMs: number;
} {
  requireOptions('removeBroker options', options, ['reassign', 'throttleBytesPerSecond', 'timeoutMs']);
  const { reassign = false, throttleBytesPerSecond, timeoutMs = DRAIN_DEFAULT_MS } = options;
  return {
    reassign: requireOneOf('reassign', reassign, [true, false]),
    throttle: checkThrottle(throttleBytesPerSecond),
    timeoutMs: requireInteger('timeoutMs', timeoutMs, 1),
  };
}
