import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inspectReplica } from '../../src/runtime/broker-control.ts';
import { type Brokers, withBrokers } from './broker-fixtures.ts';

/** Sends the follower to the leader's log, as if it had been lapped. */
function wantLog(brokers: Brokers, partition: number): void {
  const replica = brokers.replica(2, partition);
  brokers.get(2).readLog(replica);
}

test('a log of many segments comes in pieces, until the ring is reached again', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    for (let n = 0; n < 400; n++) brokers.append(partition, 2, 7_000);
    wantLog(brokers, partition);
    await brokers.settle();
    assert.ok(brokers.counters(2).catchUps >= 2);
    assert.is(brokers.replica(2, partition).source, 'ring');
    assert.is(brokers.replica(2, partition).log.leo, 800);
    assert.is(brokers.get(1).table.loadHwm(partition), 800);
    assert.ok(brokers.isEqual(partition));
  }));

test('many partitions catch up together, within one answer each time', () =>
  withBrokers({}, async (brokers) => {
    const partitions = Array.from({ length: 40 }, () => brokers.addPartition());
    for (const partition of partitions) {
      for (let n = 0; n < partition; n++) brokers.append(partition, 1, 1_000);
      wantLog(brokers, partition);
    }
    await brokers.settle();
    for (const partition of partitions) {
      assert.is(brokers.replica(2, partition).source, 'ring');
      assert.ok(brokers.isEqual(partition));
    }
    assert.ok(brokers.counters(2).catchUps < 20, `${brokers.counters(2).catchUps} requests`);
  }));

test('what a follower was told to read next in the ring is kept until it has got there', () =>
  withBrokers({ count: 3, ringCapacity: 8 << 20 }, async (brokers) => {
    // Broker 2 has left the ISR: nothing of what it lacks is kept for its sake.
    const partition = brokers.addPartition();
    const replica = brokers.replica(1, partition);
    replica.become({ ...replica.info, isr: [1, 3] });
    brokers.get(1).reform([replica.info]);
    brokers.append(partition);
    await brokers.settle();
    const leader = brokers.get(1);
    const beyond = (): boolean => {
      for (let n = 0; n < 100 && !leader.isThrottled; n++) {
        brokers.append(partition, 1, 100_000);
        brokers.get(3).pass();
      }
      return leader.isThrottled;
    };
    assert.is(beyond(), false, 'out of the ISR it holds nobody up');
    await brokers.settle();
    leader.joins(2, leader.ringPosition);
    assert.is(beyond(), true, 'on its way in it does');
    leader.hasJoined(2, 1);
    brokers.get(2).pass();
    assert.is(leader.isThrottled, false, 'it is there');
  }));

test("serving a follower leaves the leader's log as it was", () =>
  withBrokers({ count: 3 }, async (brokers) => {
    const partition = brokers.addPartition();
    for (let n = 0; n < 50; n++) brokers.append(partition, 1, 1_000);
    const before = brokers.bytes(1, partition);
    wantLog(brokers, partition);
    await brokers.settle();
    assert.ok(brokers.bytes(1, partition).equals(before));
    assert.ok(brokers.isEqual(partition, 1, 3));
    brokers.append(partition);
    await brokers.settle();
    assert.ok(brokers.isEqual(partition));
  }));

test('looking into a replica gives a copy of its bytes and no more', () =>
  withBrokers({}, (brokers) => {
    const partition = brokers.addPartition();
    for (let n = 0; n < 3; n++) brokers.append(partition);
    const { bytes } = inspectReplica(brokers.get(1), partition, 0, 1 << 20);
    assert.is(bytes.buffer.byteLength, bytes.length);
    const before = bytes.slice();
    bytes.fill(0);
    assert.ok(brokers.bytes(1, partition).equals(Buffer.from(before)));
  }));

test('a follower whose next record the leader no longer has begins again where the leader begins', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition({ 'retention.bytes': 20_000, 'segment.bytes': 16_384 });
    brokers.append(partition, 2);
    await brokers.settle();
    const leader = brokers.replica(1, partition);
    for (let n = 0; n < 300; n++) {
      // As if only the leader were in sync, so that retention may pass the follower by.
      leader.log.committed = leader.log.leo;
      brokers.append(partition, 2, 1_000);
    }
    assert.ok(leader.log.logStart > 2);
    await brokers.settle();
    const { log } = brokers.replica(2, partition);
    assert.is(log.leo, 602);
    assert.ok(log.logStart >= leader.log.logStart);
    assert.is(brokers.replica(2, partition).source, 'ring');
    assert.is(brokers.get(1).table.loadHwm(partition), 602);
    assert.ok(
      brokers
        .bytes(1, partition)
        .subarray(-brokers.bytes(2, partition).length)
        .equals(brokers.bytes(2, partition)),
    );
  }));

test('what came by the ring while the answer was under way is read again', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition, 3);
    const leader = brokers.get(1);
    const ringPosition = leader.ringPosition;
    let isFirst = true;
    Object.defineProperty(leader, 'ringPosition', {
      get() {
        // After the leader has answered with all it has, and before the follower learns of it.
        if (isFirst) {
          isFirst = false;
          queueMicrotask(() => {
            brokers.append(partition, 2);
            brokers.get(2).pass();
            assert.is(brokers.replica(2, partition).log.leo, 0);
          });
        }
        return ringPosition;
      },
    });
    wantLog(brokers, partition);
    await brokers.settle();
    assert.is(brokers.counters(2).catchUps, 1);
    assert.is(brokers.replica(2, partition).log.leo, 5);
    assert.is(brokers.get(1).table.loadHwm(partition), 5);
    assert.ok(brokers.isEqual(partition));
  }));

test('a batch that leaves a gap is refused like a damaged one, and ends nobody', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    for (let n = 0; n < 3; n++) brokers.append(partition, 2);
    const { log } = brokers.replica(1, partition);
    const read = log.read.bind(log);
    let answers = 0;
    let leoWhenAskedAgain = -1;
    // As a leader whose log has lost its place: the first answer begins two records too late.
    log.read = (offset, maxBytes, endOffset) => {
      if (answers === 1) leoWhenAskedAgain = brokers.replica(2, partition).log.leo;
      return read(answers++ === 0 ? offset + 2 : offset, maxBytes, endOffset);
    };
    wantLog(brokers, partition);
    for (let waits = 0; waits < 100 && brokers.replica(2, partition).log.leo < 6; waits++) {
      await brokers.settle();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.is(brokers.counters(2).corruptFrames, 1);
    assert.is(leoWhenAskedAgain, 0);
    assert.is(brokers.replica(2, partition).log.leo, 6);
    assert.ok(brokers.isEqual(partition));
  }));

test('a batch that is damaged in its leader’s log is told of, and is not sent again before it is sound', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    const flip = (batch: Uint8Array): void => {
      batch[batch.length - 20] ^= 1;
    };
    brokers.append(partition, 2);
    brokers.append(partition, 2, 100, flip);
    brokers.append(partition, 2);
    const { log } = brokers.replica(1, partition);
    const wait = async (): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await brokers.settle();
    };
    await brokers.settle();
    await wait();
    // Once in the ring, and once in an answer.
    assert.is(brokers.counters(2).corruptFrames, 2);
    assert.is(brokers.counters(1).damagedSegments, 1);
    const [{ position, sentence, ...told }, ...more] = brokers.notices.filter(
      (notice) => notice.notice === 'damaged',
    );
    assert.equal([told.id, told.fromOffset, more], [partition, 2, []]);
    assert.ok(position > 0);
    assert.match(sentence, /does not match its checksum/);
    assert.is(brokers.replica(2, partition).log.leo, 2);
    // Somebody has repaired it.
    const { bytes, from, to } = log.read(2, 1, log.leo) as NonNullable<ReturnType<typeof log.read>>;
    flip(bytes.subarray(from, to));
    for (let waits = 0; waits < 20 && brokers.replica(2, partition).log.leo < 6; waits++) await wait();
    assert.is(brokers.replica(2, partition).log.leo, 6);
    assert.ok(brokers.isEqual(partition));
  }));

test('a leader of another epoch does not answer with records', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition({}, { 2: { epoch: 9 } });
    brokers.append(partition, 3);
    wantLog(brokers, partition);
    await brokers.settle();
    assert.is(brokers.replica(2, partition).log.leo, 0);
    assert.is(brokers.replica(2, partition).source, 'log');
  }));

test('partitions that their leader refuses for a while leave room for others in a request', () =>
  withBrokers({}, async (brokers) => {
    // More than one request has wishes.
    const refused = Array.from({ length: 80 }, () => brokers.addPartition({}, { 2: { epoch: 9 } }));
    const partition = brokers.addPartition();
    brokers.append(partition, 3);
    for (const each of refused) wantLog(brokers, each);
    wantLog(brokers, partition);
    for (let waits = 0; waits < 50 && brokers.replica(2, partition).log.leo < 3; waits++) {
      await brokers.settle();
      await turn();
    }
    assert.is(brokers.replica(2, partition).log.leo, 3);
    assert.is(brokers.replica(2, refused[0]).source, 'log');
  }));

test('a follower that slept while the answer came is woken for what it had passed over in the ring', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition);
    await brokers.settle();
    const follower = brokers.get(2);
    const replica = brokers.replica(2, partition);
    const position = brokers.get(1).ringPosition;
    // The leader has answered; before the answer comes it appends, and the follower passes over that in the ring.
    replica.source = 'log';
    brokers.append(partition);
    while (follower.pass());
    assert.is(replica.log.leo, 1);
    let isAwake = false;
    const sleeping = brokers.sleep(2).then(() => {
      isAwake = true;
    });
    await turn();
    assert.is(isAwake, false);
    replica.source = 'ring';
    follower.rejoinRing(1, position);
    await Promise.race([sleeping, turn(200)]);
    assert.is(isAwake, true);
    await brokers.settle();
    assert.is(replica.log.leo, 2);
  }));

test('an answer to what a log was before it went back is not taken', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition({ 'cleanup.policy': 'compact' });
    for (let n = 0; n < 10; n++) brokers.append(partition);
    await brokers.settle();
    const replica = brokers.replica(2, partition);
    replica.source = 'log';
    brokers.append(partition);
    while (brokers.get(2).pass());
    wantLog(brokers, partition);
    // Before the answer comes, the log loses its end: a compacted one would not see that something is missing.
    replica.log.truncateTo(4);
    brokers.get(2).restarted(replica);
    await brokers.settle();
    assert.is(replica.log.leo, 11);
    assert.ok(brokers.isEqual(partition));
  }));

function turn(afterMs = 20): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, afterMs);
  });
}

test.run();
