import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ConfigurationHistory,
  checkedConfiguration,
  decodeConfiguration,
  encodeConfiguration,
  isVoter,
  votersWith,
  votersWithout,
} from '../../../src/core/raft/configuration.ts';
import type { Entry } from '../../../src/core/raft/types.ts';
import { bytes, isFault, member, votersOf } from './raft-cluster.ts';

function change(index: number, ...ids: number[]): Entry {
  return { index, term: 1, kind: 'config', data: encodeConfiguration(votersOf(...ids)) };
}

test('a configuration survives its bytes', () => {
  const configuration = votersOf(1, 2, 3);
  assert.equal(decodeConfiguration(encodeConfiguration(configuration)), configuration);
});

test('bytes that are no configuration are refused with a sentence', () => {
  const strange = ['', '{', 'null', '[]', '{}', '{"voters":1}', '{"voters":[{"id":"1","directoryId":"a"}]}'];
  for (const text of [
    ...strange,
    '{"voters":[{"id":1.5,"directoryId":"a"}]}',
    '{"voters":[null]}',
    '{"voters":[{"id":1}]}',
  ]) {
    assert.throws(
      () => decodeConfiguration(bytes(text)),
      ({ message }: Error) => message.includes('no list of voters'),
    );
  }
});

test('an id votes once', () => {
  const twice = { voters: [member(1), member(1, 1)] };
  assert.throws(() => checkedConfiguration(twice), isFault(/voter 1 stands in a configuration twice/));
});

test('a directory is part of who votes', () => {
  const configuration = votersWith(votersOf(2, 3), member(1, 1));
  assert.is(isVoter(configuration, member(1)), false);
  assert.is(isVoter(configuration, member(1, 1)), true);
  assert.equal(votersWithout(configuration, member(1)), configuration);
  assert.equal(votersWithout(configuration, member(1, 1)), votersOf(2, 3));
});

test('a truncated log goes back to the configuration before', () => {
  const history = new ConfigurationHistory(0, votersOf(1));
  history.append(change(3, 1, 2));
  history.append(change(7, 1, 2, 3));
  assert.equal([history.latestIndex, history.latest], [7, votersOf(1, 2, 3)]);
  assert.equal(history.at(6), votersOf(1, 2));
  history.truncateFrom(4);
  assert.equal([history.latestIndex, history.latest], [3, votersOf(1, 2)]);
  assert.throws(() => history.truncateFrom(0), isFault(/is committed/));
});

test('a compacted history knows what held at the snapshot, and nothing before', () => {
  const history = new ConfigurationHistory(0, votersOf(1));
  history.append(change(3, 1, 2));
  history.append(change(7, 1, 2, 3));
  history.compact(5);
  assert.equal(history.at(5), votersOf(1, 2));
  assert.equal(history.latest, votersOf(1, 2, 3));
  assert.throws(() => history.at(4), isFault(/who voted at 4/));
});

test('a member that is to go votes until then', () => {
  const history = new ConfigurationHistory(0, votersOf(1, 2));
  history.append(change(3, 1));
  assert.is(history.isVoterSince(2, member(2)), true);
  assert.is(history.isVoterSince(3, member(2)), false);
});

test.run();
