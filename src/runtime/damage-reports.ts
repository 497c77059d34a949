import { join } from 'node:path';
import { partitionDirectory } from '../log/file-names.ts';
import type { PartitionInfo, RecoveryReport } from '../types.ts';
import type { BrokerHandle } from './broker-handle.ts';
import type { BrokerNotice, HealedSegment } from './directory.ts';
import type { IsrChanges } from './isr-changes.ts';

type Damage = Extract<BrokerNotice, { notice: 'damaged' }>;
type Uncompacted = Extract<BrokerNotice, { notice: 'uncompacted' }>;

/** What the reports need to know of the cluster. */
interface ReportedCluster {
  readonly isr: IsrChanges;
  find(partition: number): PartitionInfo | undefined;
  handleOf(broker: number): BrokerHandle | undefined;
  /** The broker's directory. */
  pathOf(broker: number): string;
}

/**
 * What brokers have found to be damaged in their files: a follower's segment is healed, out of the ISR, from its leader;
 * whatever else is reported, for people to decide.
 */
export class DamageReports {
  readonly #cluster: ReportedCluster;
  readonly #reports: RecoveryReport[];
  /** One after the other: what is set aside for one report may hold what the next one speaks of. */
  #handling: Promise<void> = Promise.resolve();

  /** `reports` is where people look. */
  constructor(cluster: ReportedCluster, reports: RecoveryReport[]) {
    this.#cluster = cluster;
    this.#reports = reports;
  }

  take(broker: number, notice: Damage | Uncompacted): void {
    if (notice.notice === 'uncompacted') this.#report(broker, notice);
    else this.#handling = this.#handling.then(() => this.#handle(broker, notice));
  }

  #report(broker: number, { notice: _, sentence, file, ...fault }: Uncompacted): void {
    this.#reports.push({
      ...fault,
      broker,
      bytes: 0,
      file: join(this.#cluster.pathOf(broker), file),
      action: 'reported',
      reason: `Compaction could not go on there, and is tried again when the log has changed: ${sentence}`,
    });
  }

  async #handle(broker: number, damage: Damage): Promise<void> {
    const healed = await this.#heal(broker, damage);
    if (healed === 'gone') return;
    const { topic, partition, sentence } = damage;
    const path = this.#cluster.pathOf(broker);
    const report = { broker, topic, partition, position: damage.position, fromOffset: damage.fromOffset };
    if (healed !== undefined) {
      const { bytes, fromOffset } = healed;
      const reason = `${sentence} What follows is fetched again from the leader.`;
      const file = join(path, healed.file);
      this.#reports.push({ ...report, file, position: 0, bytes, fromOffset, action: 'set aside', reason });
      return;
    }
    const reason = `${sentence} ${this.#adviceFor(broker, damage)}`;
    const { bytes } = damage;
    this.#reports.push({ ...report, file: join(path, damage.file), bytes, action: 'reported', reason });
  }

  /** Undefined where nobody has what is damaged here, or it cannot be fetched now. */
  async #heal(broker: number, { id }: Damage): Promise<HealedSegment | 'gone' | undefined> {
    const { isr } = this.#cluster;
    const info = this.#cluster.find(id);
    const handle = this.#running(broker);
    if (handle === undefined || info === undefined || info.leader === broker) return undefined;
    if (this.#running(info.leader) === undefined) return undefined;
    try {
      return await isr.without(broker, id, async () => {
        // Until it is through, or its broker has ended, the replica must not come back: a broker that hangs does it yet.
        const request = { type: 'heal', partition: id } as const;
        const healed = (await handle.request(request, Number.POSITIVE_INFINITY)) as HealedSegment | undefined;
        // Retention, or another report's cure, has taken it away meanwhile.
        return healed ?? 'gone';
      });
    } catch {
      // The broker has ended, or the cluster closes.
      return undefined;
    }
  }

  /** Where its thread runs and its disk is sound. */
  #running(broker: number): BrokerHandle | undefined {
    const handle = this.#cluster.handleOf(broker);
    return handle?.state === 'running' ? handle : undefined;
  }

  #adviceFor(broker: number, { id, topic, partition }: Damage): string {
    const directory = join(this.#cluster.pathOf(broker), partitionDirectory(topic, partition));
    const peers = this.#cluster.find(id)?.isr.some((other) => other !== broker) === true;
    const restart = peers
      ? `Stop broker ${broker} and start it again, with \`cluster.stopBroker(${broker})\` and \`cluster.startBroker(${broker})\`, or start the cluster again: another replica leads then, and this one is healed. `
      : '';
    return `${restart}With the cluster stopped, \`npx tidemark log repair ${directory}\` shows what a repair would drop.`;
  }
}
