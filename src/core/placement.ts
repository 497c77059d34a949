import { TidemarkError } from '../errors.ts';

/** How many replicas a topic gets that asks for no number, where so many brokers run. */
const REPLICAS_DEFAULT = 3;

/** A broker, and whether it can be given replicas. */
interface Candidate {
  readonly id: number;
  readonly state: string;
  /** Why it does not run. */
  readonly error: string | undefined;
}

/**
 * The brokers that a new topic is spread over, and how many of them hold each partition. Where no number is asked for
 * it is as large as those that run allow: a topic of fewer replicas is of more use than none.
 */
export function brokersFor(
  replicationFactor: number | undefined,
  candidates: readonly Candidate[],
): { readonly running: number[]; readonly factor: number } {
  const running = candidates.filter(({ state }) => state === 'running').map(({ id }) => id);
  running.sort((one, other) => one - other);
  const factor = replicationFactor ?? Math.max(1, Math.min(REPLICAS_DEFAULT, running.length));
  if (factor <= running.length) return { running, factor };
  const others = candidates.filter(({ state }) => state !== 'running');
  const reasons = others.map(
    ({ id, state, error = `Broker ${id} is ${state}` }) => ` ${error.replace(/\.?$/, '.')}`,
  );
  throw new TidemarkError(
    'INVALID_REPLICATION_FACTOR',
    `${running.length === 0 ? 'No broker is running.' : `A replication factor of ${factor} needs as many brokers; ${running.length} are running.`}${reasons.join('')}`,
  );
}

/**
 * Replica lists of a new topic: leaders go round robin over the brokers, and the followers of partitions with
 * the same leader are spread too, so that a dead leader's load does not all fall to one broker.
 */
export function placeReplicas(
  brokers: readonly number[],
  partitions: number,
  replicationFactor: number,
  first: number,
): number[][] {
  const count = brokers.length;
  const placed: number[][] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const leader = (first + partition) % count;
    const shift = count > 1 ? Math.floor((first + partition) / count) % (count - 1) : 0;
    const replicas = [brokers[leader]];
    for (let n = 0; n < replicationFactor - 1; n++) {
      replicas.push(brokers[(leader + 1 + ((shift + n) % (count - 1))) % count]);
    }
    placed.push(replicas);
  }
  return placed;
}
