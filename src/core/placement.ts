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
