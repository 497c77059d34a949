// What holds of the metadata after every command, whatever the command.
import * as assert from 'uvu/assert';
import type { Command } from '../../../src/core/metadata/commands.ts';
import type { MetadataImage, MetadataPartition } from '../../../src/core/metadata/image.ts';
import type { TestWorld } from './fixtures.ts';

/** Watches images of one cluster, one after the other. */
export class InvariantChecker {
  #before: MetadataImage | undefined;
  /** Partition ids that were given out, and what for. */
  readonly #owners = new Map<number, string>();
  /** Broker epochs that were given out, and to whom. */
  readonly #registrations = new Map<number, string>();
  /** By partition: the directories that hold all that was acknowledged. */
  readonly #holders = new Map<number, Set<string>>();

  /** After a command that was taken, in the world as it was then. */
  check(image: MetadataImage, command: Command, world: TestWorld): void {
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
      this.#checkHolders(image, partition, command);
      this.#loseLogs(image, partition, command, world);
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

  /**
   * Whoever leads has in its directory what was acknowledged. While enough are in sync with a leader, something may be
   * acknowledged at any time, which then they alone have for certain; while too few are, nothing is, and whoever had
   * everything has it still.
   */
  #checkHolders(image: MetadataImage, partition: MetadataPartition, command: Command): void {
    const { id, isr, leader, topic } = partition;
    if (leader === -1) return;
    const directory = (broker: number) => image.broker(broker)?.directoryId as string;
    const holders = this.#holders.get(id);
    const then = this.#before?.partition(id);
    const isElected =
      then !== undefined && (then.leader !== leader || directory(leader) !== this.#directoryThen(leader));
    const isUnclean = command.type === 'elect-leader' && command.election === 'unclean';
    // The leader waits for whom it proposes from then on, so they have everything already when the change lets one of them
    // take over, as the last change of a reassignment does.
    if (command.type === 'alter-isr' && command.partition === id)
      for (const { broker } of command.isr) holders?.add(directory(broker));
    if (holders !== undefined && isElected && !isUnclean) {
      assert.ok(holders.has(directory(leader)), `broker ${leader} leads partition ${id} without its records`);
    }
    const given = image.topic(topic)?.config['min.insync.replicas'];
    const least = Number(given ?? image.brokerConfig(-1)['min.insync.replicas'] ?? 1);
    const isKept = isr.length < least && !(isUnclean && isElected);
    this.#holders.set(id, new Set([...(isKept ? (holders ?? []) : []), ...isr.map(directory)]));
  }

  /** A running broker gets what is damaged there from the leader, and one that says so is about to lose something. */
  #loseLogs(
    image: MetadataImage,
    { id, isr, leader, replicas }: MetadataPartition,
    command: Command,
    world: TestWorld,
  ): void {
    const directory = (broker: number) => image.broker(broker)?.directoryId ?? '';
    const holders = this.#holders.get(id);
    if (command.type === 'alter-isr' && command.partition === id && command.losing !== undefined)
      holders?.delete(directory(command.losing));
    for (const broker of replicas) {
      if (leader === -1 || isr.includes(broker)) continue;
      const isClosed =
        command.type === 'start-cluster'
          ? command.brokers.some((each) => each.broker === broker) &&
            !command.found.get(id)?.some((each) => each.broker === broker)
          : command.type === 'unfence-broker' &&
            command.broker === broker &&
            image.broker(broker)?.state === 'active' &&
            world.closedLogs.has(`${broker} ${id}`);
      if (isClosed) holders?.delete(directory(broker));
    }
  }

  #directoryThen(broker: number): string | undefined {
    return this.#before?.broker(broker)?.directoryId;
  }
}

function checkStanding(image: MetadataImage, partition: MetadataPartition): void {
  const { id, isr, replicas, leader, eligible, adding, removing, lostDirectory } = partition;
  const which = `partition ${id}`;
  assert.ok(isr.length > 0, `${which}: nobody is in sync`);
  assert.is(new Set(isr).size, isr.length, `${which}: somebody is in sync twice`);
  assert.is(new Set(replicas).size, replicas.length, `${which}: somebody is a replica twice`);
  for (const broker of isr) assert.ok(replicas.includes(broker), `${which}: ISR beyond the replicas`);
  for (const broker of replicas)
    assert.ok(image.broker(broker) !== undefined, `${which}: a replica on nobody`);
  for (const broker of eligible) {
    assert.ok(
      replicas.includes(broker) && !isr.includes(broker),
      `${which}: eligible, and no replica outside`,
    );
  }
  for (const broker of [...adding, ...removing])
    assert.ok(replicas.includes(broker), `${which}: comes or goes, and is no replica`);
  assert.ok(
    removing.length < replicas.length && adding.length < replicas.length,
    `${which}: all come, or all go`,
  );
  const wanted = replicas.filter((broker) => !removing.includes(broker));
  const isUnderWay = adding.length + removing.length > 0;
  if (isUnderWay && leader !== -1 && wanted.includes(leader))
    assert.ok(!wanted.every((broker) => isr.includes(broker)), `${which}: all are in sync, and it goes on`);
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
