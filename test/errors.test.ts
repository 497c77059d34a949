import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type ErrorCode,
  errorCode,
  errorNumber,
  requireInteger,
  requireOneOf,
  show,
  TidemarkError,
} from '../src/errors.ts';
import { refusal } from './client/refusals.ts';

test('an error carries its code, its sentence, its cause, and whether trying again can help', () => {
  const cause = new Error('deeper');
  const error = new TidemarkError('NOT_ENOUGH_REPLICAS', 'Too few.', { cause });
  assert.instance(error, Error);
  assert.is(error.name, 'TidemarkError');
  assert.is(error.code, 'NOT_ENOUGH_REPLICAS');
  assert.is(error.message, 'Too few.');
  assert.is(error.cause, cause);
  assert.is(error.retriable, true);
  assert.is(new TidemarkError('MESSAGE_TOO_LARGE', 'Too large.').retriable, false);
  assert.is('cause' in new TidemarkError('CLOSED', 'Closed.'), false);
});

test("codes that Kafka has travel under Kafka's numbers", () => {
  // From the protocol's public table of error codes.
  const numbers: Partial<Record<ErrorCode, number>> = {
    NONE: 0,
    OFFSET_OUT_OF_RANGE: 1,
    CORRUPT_MESSAGE: 2,
    UNKNOWN_TOPIC_OR_PARTITION: 3,
    NOT_LEADER_OR_FOLLOWER: 6,
    REQUEST_TIMED_OUT: 7,
    MESSAGE_TOO_LARGE: 10,
    INVALID_TOPIC_EXCEPTION: 17,
    NOT_ENOUGH_REPLICAS: 19,
    NOT_ENOUGH_REPLICAS_AFTER_APPEND: 20,
    INVALID_REQUIRED_ACKS: 21,
    TOPIC_ALREADY_EXISTS: 36,
    INVALID_PARTITIONS: 37,
    INVALID_REPLICATION_FACTOR: 38,
    INVALID_REPLICA_ASSIGNMENT: 39,
    INVALID_CONFIG: 40,
    NOT_CONTROLLER: 41,
    FENCED_LEADER_EPOCH: 74,
    UNKNOWN_LEADER_EPOCH: 75,
    STALE_BROKER_EPOCH: 77,
    PREFERRED_LEADER_NOT_AVAILABLE: 80,
    ELECTION_NOT_NEEDED: 84,
    INVALID_RECORD: 87,
    INVALID_UPDATE_VERSION: 95,
    DUPLICATE_BROKER_REGISTRATION: 101,
    BROKER_ID_NOT_REGISTERED: 102,
    INELIGIBLE_REPLICA: 107,
  };
  for (const [code, number] of Object.entries(numbers)) {
    assert.is(errorNumber(code as ErrorCode), number, code);
    assert.is(errorCode(number), code);
  }
});

test('a number that no code has is a fault of the program', () => {
  assert.throws(() => errorCode(12_345), /no error has the number 12345/);
  assert.throws(() => errorCode(-1), /no error has the number -1/);
});

test('requireInteger takes whole numbers within the bounds and names the argument otherwise', () => {
  assert.is(requireInteger('brokers', 1, 1, 3), 1);
  assert.is(requireInteger('brokers', 3, 1, 3), 3);
  assert.is(requireInteger('offset', Number.MAX_SAFE_INTEGER, 0), Number.MAX_SAFE_INTEGER);
  for (const value of [0, 4, 1.5, NaN, Infinity, -1, '2', null, undefined, {}, [2], 2n, true]) {
    const message = /^brokers must be a whole number from 1 to 3; got .+\.$/;
    assert.throws(
      () => requireInteger('brokers', value, 1, 3),
      (error: TidemarkError) => error.code === 'INVALID_ARGUMENT' && message.test(error.message),
      String(value),
    );
  }
  assert.throws(
    () => requireInteger('offset', -1, 0),
    (error: TidemarkError) => error.message === 'offset must be a whole number of at least 0; got -1.',
  );
  assert.throws(() => requireInteger('offset', 2 ** 53, 0), /offset/);
});

test('requireOneOf takes what is allowed and lists it otherwise', () => {
  const allowed = [0, 1, 'all'] as const;
  for (const value of allowed) assert.is(requireOneOf('acks', value, allowed), value);
  assert.throws(
    () => requireOneOf('acks', 'ALL', allowed),
    (error: TidemarkError) =>
      error.code === 'INVALID_ARGUMENT' && error.message === "acks must be one of 0, 1, 'all'; got 'ALL'.",
  );
  for (const value of [-1, 2, '1', null, undefined, {}]) {
    assert.throws(() => requireOneOf('acks', value, allowed), /acks must be one of/);
  }
});

test('a value is shown short, whatever it is', () => {
  assert.is(show('text'), "'text'");
  assert.is(show('x'.repeat(60)), `'${'x'.repeat(60)}'`);
  assert.is(show('x'.repeat(61)), `'${'x'.repeat(57)}...'`);
  assert.is(show(7), '7');
  assert.is(show(7n), '7n');
  assert.is(show(null), 'null');
  assert.is(show(undefined), 'undefined');
  assert.is(show({}), 'Object');
  assert.is(show(new Uint8Array(1 << 20)), 'Uint8Array');
  assert.is(show(Object.create(null)), 'an object');
  assert.is(show(Symbol('s')), 'Symbol(s)');
});

test('the check of a refusal tells codes and sentences apart', () => {
  const error = new TidemarkError('CLOSED', 'The door is closed.');
  assert.is(refusal('CLOSED')(error), true);
  assert.is(refusal('CLOSED', /door/)(error), true);
  assert.is(refusal('CLOSED', /window/)(error), false);
  assert.is(refusal('UNSUPPORTED')(error), false);
  assert.is(refusal('CLOSED')(new Error('The door is closed.')), false);
  assert.is(refusal('CLOSED')(new TidemarkError('CLOSED', 'no sentence')), false);
});

test.run();
