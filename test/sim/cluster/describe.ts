// For people: how things stand.
import type { MetadataPartition } from '../../../src/core/metadata/image.ts';
import type { Replica } from '../../../src/core/replica.ts';
import type { Broker } from '../../../src/runtime/broker.ts';
import type { Coordinator } from '../../../src/runtime/coordinator.ts';
import type { BrokerView, WorldView } from './observer.ts';

/** What a broker knows of one of its replicas, in a line. */
export function describeReplica({ id, broker, life }: BrokerView, replica: Replica): string {
  const { log, hwm, info, state, source, stable } = replica;
  const role = replica.isLeader ? 'leads' : `follows ${info.leader} by its ${source}`;
  const ends = `LEO ${log.leo}, written ${log.written}, stable ${stable}, published ${publishedBy(broker, replica)}`;
  return `broker ${id} (life ${life}) ${role}, partition ${replica.id}, epoch ${info.epoch}, ${state}: ${ends}, HWM ${hwm}, ISR ${info.isr.join(' ')}`;
}

function publishedBy({ table }: Broker, { id, info }: Replica): number {
  return table.loadLeoIn(info.epoch, id);
}

export function describePartition(partition: MetadataPartition): string {
  const { id, leader, epoch, isr, replicas, adding, removing } = partition;
  const changes = `${adding.map((broker) => ` +${broker}`).join('')}${removing.map((broker) => ` -${broker}`).join('')}`;
  return `partition ${id}: leader ${leader}, epoch ${epoch}, ISR ${isr.join(' ')} of ${replicas.join(' ')}${changes}`;
}

export function describeWorld(world: WorldView, coordinator: Coordinator | undefined): string {
  const states = coordinator?.members.all.map(({ handle }) => `${handle.id} ${handle.state}`) ?? [];
  const views = world.brokers();
  const partitions = world.partitions().map((partition) => {
    const ends = views.flatMap((view) => {
      const replica = view.broker.replicas[partition.id];
      return replica === undefined ? [] : [describeReplica(view, replica)];
    });
    return `${describePartition(partition)} (${ends.join('; ')})`;
  });
  return `brokers: ${states.join(', ')}; ${partitions.join('; ')}`;
}

/** Whether everybody has everything, everything is committed, and who has left has nothing any more. */
export function isSettled(world: WorldView): boolean {
  const views = world.brokers();
  return world.partitions().every(({ id, replicas }) => {
    const ends = replicas.map((member) => {
      const replica = views.find((view) => view.id === member)?.broker.replicas[id];
      return replica === undefined || replica.log.written !== replica.log.leo ? -1 : replica.log.leo;
    });
    if (views.some(({ id: broker, broker: { replicas: held } }) => held[id] && !replicas.includes(broker)))
      return false;
    return ends[0] !== -1 && ends.every((end) => end === ends[0]) && world.canon.endOf(id) === ends[0];
  });
}
