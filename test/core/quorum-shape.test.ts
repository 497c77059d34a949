import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { nextQuorumChange, type VoterCandidate, votersFor } from '../../src/core/quorum-shape.ts';
import { isSameMember, type Member } from '../../src/core/raft/index.ts';

function member(id: number, incarnation = 1): Member {
  return { id, directoryId: `${id}.${incarnation}` };
}

function broker(id: number, isUp = true, incarnation = 1): VoterCandidate {
  return { ...member(id, incarnation), isUp };
}

function members(...ids: number[]): Member[] {
  return ids.map((id) => member(id));
}

test('a quorum has an odd number of voters, five at most, and no more than are wanted', () => {
  const sizes = [1, 2, 3, 4, 5, 6, 20].map((brokers) => votersFor(brokers));
  assert.equal(sizes, [1, 1, 3, 3, 5, 5, 5]);
  assert.is(votersFor(5, 3), 3);
  assert.is(votersFor(5, 1), 1);
  assert.is(votersFor(2, 3), 1);
});

test('nothing changes where the voters are as they should be, dead or alive', () => {
  assert.is(nextQuorumChange(members(1, 2, 3), [broker(1), broker(2, false), broker(3)]), undefined);
  assert.is(nextQuorumChange(members(1), [broker(1), broker(2)]), undefined);
});

test('a directory that was lost goes first, and its broker comes back as another voter', () => {
  const brokers = [broker(1), broker(2, true, 2), broker(3)];
  assert.equal(nextQuorumChange(members(1, 2, 3), brokers), { remove: member(2) });
  assert.equal(nextQuorumChange(members(1, 3), brokers), { add: member(2, 2) });
});

test('whatever the start, one change after the other leads to as many voters as there should be', () => {
  for (const start of [members(1), members(1, 2, 3), members(4, 5, 6), members(1, 2, 3, 4, 5)]) {
    for (const count of [1, 3, 4, 5, 7]) {
      const brokers = Array.from({ length: count }, (_, n) => broker(n + 1));
      let voters = [...start];
      for (let steps = 0; ; steps++) {
        const change = nextQuorumChange(voters, brokers);
        if (change === undefined) break;
        assert.ok(steps < 20, 'it comes to an end');
        if ('add' in change) voters.push(change.add);
        else voters = voters.filter((voter) => !isSameMember(voter, change.remove));
        assert.ok(voters.length > 0);
      }
      assert.is(voters.length, votersFor(count));
      assert.ok(voters.every((voter) => brokers.some((each) => isSameMember(each, voter))));
    }
  }
});

test('one that does not run is not added, and goes before one that does', () => {
  assert.is(nextQuorumChange(members(1), [broker(1), broker(2, false), broker(3, false)]), undefined);
  const brokers = [broker(1, false), broker(2), broker(3), broker(4)];
  assert.equal(nextQuorumChange(members(1, 2, 3, 4), brokers), { remove: member(1) });
});

test.run();
