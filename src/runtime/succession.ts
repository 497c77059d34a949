import type { PartitionInfo } from '../types.ts';

/** Whether a broker takes requests and beats: only such a one is given anything to lead. */
export type IsLive = (broker: number) => boolean;

/**
 * A partition without a broker that has ended, hangs, or is about to stop. Another member of the ISR that lives leads in
 * its place, and has all that was acknowledged with acks all. Without one nobody leads, and the ISR stays as it is: each
 * of its members has everything, and an outsider may not.
 */
export function withoutBroker(info: PartitionInfo, lost: number, isLive: IsLive): PartitionInfo {
  const { isr, replicas, leader, epoch } = info;
  if (leader === -1 || !isr.includes(lost)) return info;
  const left = isr.filter((broker) => broker !== lost);
  if (leader !== lost) return { ...info, isr: left };
  const next = replicas.find((broker) => left.includes(broker) && isLive(broker));
  if (next !== undefined) return { ...info, isr: left, leader: next, epoch: epoch + 1 };
  return { ...info, leader: -1, epoch: epoch + 1, unavailable: sentenceFor(info, reasonFor(isr)) };
}

/** What a broker has that comes back: its logs, nothing since they were in memory alone, or a log that is not sound. */
export type Comeback = 'whole' | 'emptied' | { readonly fault: string };

/** A partition whose member is back. Where nobody leads it, it does, if it is in the ISR and has what it had. */
export function withBroker(
  info: PartitionInfo,
  back: number,
  comeback: Comeback,
  isLive: IsLive,
): PartitionInfo {
  const { isr, leader, epoch } = info;
  if (!isr.includes(back)) return info;
  if (comeback === 'emptied') {
    const left = isr.filter((broker) => broker !== back);
    if (leader !== -1 || left.length > 0) return { ...info, isr: left };
    const reason = `its records were in the memory of broker ${back}, which has ended. Delete the topic, and create it again.`;
    return { ...info, unavailable: sentenceFor(info, reason) };
  }
  if (leader !== -1) return info;
  if (comeback !== 'whole') return { ...info, unavailable: sentenceFor(info, comeback.fault) };
  const { unavailable: _, ...next } = { ...info, leader: back, epoch: epoch + 1 };
  return { ...next, isr: isr.filter((broker) => broker === back || isLive(broker)) };
}

function reasonFor(isr: readonly number[]): string {
  const [one, ...others] = isr;
  return others.length === 0
    ? `broker ${one}, which alone has all of its records, is not running. Start it again, for example with cluster.faults.restart(${one}).`
    : `none of the brokers ${isr.join(', ')}, which have all of its records, is running. Start one of them again, for example with cluster.faults.restart(${one}).`;
}

function sentenceFor({ topic, partition }: PartitionInfo, reason: string): string {
  return `Partition ${partition} of '${topic}' has no leader: ${reason}`;
}
