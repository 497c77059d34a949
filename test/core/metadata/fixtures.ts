// A cluster's metadata in the hands of a test: images that commands have made, and a world that the test sets.
import * as assert from 'uvu/assert';
import { topicDefaults } from '../../../src/config.ts';
import { apply } from '../../../src/core/metadata/apply.ts';
import type { AnswerTo, Command, DecisionContext } from '../../../src/core/metadata/commands.ts';
import { decide } from '../../../src/core/metadata/controller.ts';
import { emptyImage, type MetadataImage, type MetadataPartition } from '../../../src/core/metadata/image.ts';
import type { MetadataRecord } from '../../../src/core/metadata/records.ts';
import type { LogEnd } from '../../../src/core/reopening.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import { refusal } from '../../client/refusals.ts';

/** 22 characters that tell what they are. */
export function uuidOf(text: string): string {
  return text.padEnd(22, '_');
}

export function directoryOf(broker: number): string {
  return uuidOf(`directory-${broker}`);
}

/** What a decision takes from outside: everybody lives, and has every log, but for what a test says. */
export class TestWorld implements DecisionContext {
  readonly dead = new Set<number>();
  readonly emptied = new Set<number>();
  /** `broker partition`. */
  readonly closedLogs = new Set<string>();
  /** By `broker partition`. */
  readonly logEnds = new Map<string, LogEnd>();
  readonly defaults = topicDefaults('os');
  #uuids = 0;

  isAlive(broker: number): boolean {
    return !this.dead.has(broker);
  }

  isEmptied(broker: number): boolean {
    return this.emptied.has(broker);
  }

  hasLog(broker: number, partition: number): boolean {
    return !this.closedLogs.has(`${broker} ${partition}`);
  }

  logEnd(broker: number, partition: number): LogEnd {
    return this.logEnds.get(`${broker} ${partition}`) ?? { leo: 0, lastEpoch: 0 };
  }

  newUuid(): string {
    this.#uuids += 1;
    return uuidOf(`uuid-${this.#uuids}`);
  }
}

/** Metadata that go from image to image, as a single controller's log has them. */
export class TestCluster {
  readonly world = new TestWorld();
  image: MetadataImage = emptyImage;
  /** Every entry of the log. */
  readonly entries: (readonly MetadataRecord[])[] = [];

  /** Brokers 1, 2, ... that are active, or each with its rack. */
  constructor(brokers: number | readonly (string | null)[] = 3) {
    this.run({ type: 'create-cluster', clusterId: 'test' });
    const racks = typeof brokers === 'number' ? Array.from({ length: brokers }, () => null) : brokers;
    if (racks.length > 0) this.start(racks);
  }

  start(racks: readonly (string | null)[]): void {
    const introduced = racks.map((rack, n) => ({ broker: n + 1, directoryId: directoryOf(n + 1), rack }));
    this.run({ type: 'start-cluster', brokers: introduced, found: new Map() });
  }

  /** Decides, and applies what comes of it. */
  run<Each extends Command>(command: Each): AnswerTo<Each> {
    const decision = decide(this.image, command, this.world);
    if (decision.refusal !== undefined) throw decision.refusal;
    this.commit(decision.records);
    return decision.answer;
  }

  commit(records: readonly MetadataRecord[]): void {
    if (records.length === 0) return;
    this.entries.push(records);
    this.image = apply(this.image, records, this.image.offset + 1, 1);
  }

  /** The command must be refused, and say why in a whole sentence. */
  refuses(command: Command, code: ErrorCode, sentence?: RegExp): void {
    const decision = decide(this.image, command, this.world);
    assert.ok(
      refusal(code, sentence)(decision.refusal),
      `expected ${code} ${sentence ?? ''}, got ${decision.refusal?.code} ${decision.refusal?.message}`,
    );
    assert.equal(decision.records, []);
  }

  /** How many records a command would write. */
  recordsOf(command: Command): readonly MetadataRecord[] {
    const decision = decide(this.image, command, this.world);
    if (decision.refusal !== undefined) throw decision.refusal;
    return decision.records;
  }

  createTopic(name = 't', assignments: readonly (readonly number[])[] = [[1, 2, 3]]): void {
    this.run({ type: 'create-topic', name, assignments });
  }

  epochOf(broker: number): number {
    return this.image.broker(broker)?.epoch as number;
  }

  fence(broker: number): void {
    this.world.dead.add(broker);
    this.run({ type: 'fence-broker', broker, epoch: this.epochOf(broker) });
  }

  unfence(broker: number): void {
    this.world.dead.delete(broker);
    this.run({ type: 'unfence-broker', broker, epoch: this.epochOf(broker) });
  }

  /** A broker comes anew, as after its thread's end. */
  register(broker: number, directoryId = directoryOf(broker)): void {
    this.world.dead.add(broker);
    this.run({ type: 'register-broker', broker, directoryId, rack: null });
    this.world.dead.delete(broker);
  }

  partition(topic = 't', index = 0): MetadataPartition {
    return this.image.partitionOf(topic, index) as MetadataPartition;
  }

  /** Leader and ISR. */
  standing(topic = 't', index = 0): [number, readonly number[]] {
    const { leader, isr } = this.partition(topic, index);
    return [leader, isr];
  }

  /** The leader of a partition proposes an ISR, on what it knows now. */
  proposal(isr: readonly number[], changed: object = {}): Command {
    const { id, leader, epoch, partitionEpoch } = this.partition();
    return {
      type: 'alter-isr',
      broker: leader,
      epoch: this.epochOf(leader),
      partition: id,
      leaderEpoch: epoch,
      partitionEpoch,
      isr: isr.map((broker) => ({ broker, epoch: this.epochOf(broker) })),
      ...changed,
    };
  }
}
