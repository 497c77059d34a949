// What holds of the metadata after every command, whatever the command.
import * as assert from 'uvu/assert';
import type { MetadataImage, MetadataPartition } from '../../../src/core/metadata/image.ts';

/** Watches images of one cluster, one after the other. */
export class InvariantChecker {
  #before: MetadataImage | undefined;
  /** Partition ids that were given out, and what for. */
  readonly #owners = new Map<number, string>();
  /** Broker epochs that were given out, and to whom. */
  readonly #registrations = new Map<number, string>();
  /** By partition: the directories that hold all that was acknowledged. */
  readonly #holders = new Map<number, ReadonlySet<string>>();

  check(image: MetadataImage): void {
    for (const { id, epoch, directoryId, rack } of image.brokers()) {
      const registration = `broker ${id} from ${directoryId} in ${rack}`;
      assert.is(
        this.#registrations.get(epoch) ?? registration,
        registration,
        `epoch ${epoch} was used twice`,
      );
      this.#registrations.set(epoch, registration);
    }
    for (const partition of image.partitions()) {
      checkStanding(image, partition);
      this.#checkIdentity(partition);
      this.#checkEpochs(partition);
      this.#checkHolders(image, partition);
    }
    checkIndexes(image);
    this.#before = image;
  }

  #checkIdentity({ id, topic, topicId, partition }: MetadataPartition): void {
    const owner = `${topicId} ${topic} ${partition}`;
    assert.is(this.#owners.get(id) ?? owner, owner, `partition id ${id} was used twice`);
    this.#owners.set(id, owner);
  }

  #checkEpochs(now: MetadataPartition): void {
    const then = this.#before?.partition(now.id);
    if (then === undefined || then === now) return;
    assert.is(now.partitionEpoch, then.partitionEpoch + 1, 'one command changes a partition once');
    assert.ok(now.epoch >= then.epoch, 'the epoch of the leader went back');
    if (now.leader !== then.leader)
      assert.is(now.epoch, then.epoch + 1, 'a leader without an epoch of its own');
  }

  /** Whoever leads has in its directory what was acknowledged: it was in the ISR when there was a leader last. */
  #checkHolders(image: MetadataImage, { id, isr, leader }: MetadataPartition): void {
    if (leader === -1) return;
    const directory = (broker: number) => image.broker(broker)?.directoryId as string;
    const holders = this.#holders.get(id);
    const then = this.#before?.partition(id);
    const isElected =
      then !== undefined && (then.leader !== leader || directory(leader) !== this.#directoryThen(leader));
    if (holders !== undefined && isElected) {
      assert.ok(holders.has(directory(leader)), `broker ${leader} leads partition ${id} without its records`);
    }
    this.#holders.set(id, new Set(isr.map(directory)));
  }

  #directoryThen(broker: number): string | undefined {
    return this.#before?.broker(broker)?.directoryId;
  }
}

function checkStanding(image: MetadataImage, partition: MetadataPartition): void {
  const { id, isr, replicas, leader, lostDirectory } = partition;
  const which = `partition ${id}`;
  assert.ok(isr.length > 0, `${which}: nobody is in sync`);
  assert.is(new Set(isr).size, isr.length, `${which}: somebody is in sync twice`);
  assert.is(new Set(replicas).size, replicas.length, `${which}: somebody is a replica twice`);
  for (const broker of isr) assert.ok(replicas.includes(broker), `${which}: ISR beyond the replicas`);
  for (const broker of replicas)
    assert.ok(image.broker(broker) !== undefined, `${which}: a replica on nobody`);
  if (lostDirectory !== null) assert.equal([leader, isr.length], [-1, 1], `${which}: lost, and yet in sync`);
  if (leader === -1) return;
  assert.ok(isr.includes(leader), `${which}: the leader is out of sync`);
  for (const broker of isr) {
    assert.is.not(
      image.broker(broker)?.state,
      'fenced',
      `${which}: a fenced broker is in sync with a leader`,
    );
  }
}

/** The indexes against a look at everything. */
function checkIndexes(image: MetadataImage): void {
  const all = image.partitions();
  for (const broker of [-1, 0, 1, 2, 3, 4, 5, 6, 7]) {
    const held = all.filter(({ replicas }) => replicas.includes(broker));
    const led = all.filter(({ leader }) => leader === broker);
    assert.equal(image.partitionsOn(broker), held, `replicas of broker ${broker}`);
    assert.equal(image.partitionsLedBy(broker), led, `partitions that broker ${broker} leads`);
  }
  let count = 0;
  for (const { name, topicId, partitions } of image.topics()) {
    assert.is(image.topicById(topicId)?.name, name);
    for (const [index, id] of partitions.entries()) {
      const partition = image.partition(id);
      assert.equal([partition?.topic, partition?.topicId, partition?.partition], [name, topicId, index]);
    }
    count += partitions.length;
  }
  assert.is(image.partitionCount, count);
}
