import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { HeldMessages } from '../../src/runtime/held-messages.ts';

test('messages that are held back are delivered in their order, and those of somebody who is gone never', () => {
  const messages = new HeldMessages();
  const heard: number[] = [];
  const say = (n: number): void => messages.pass(() => heard.push(n));
  say(1);
  messages.hold();
  say(2);
  messages.hold();
  say(3);
  assert.equal(heard, [1]);
  messages.release();
  say(4);
  assert.equal(heard, [1, 2, 3, 4]);
  messages.hold();
  say(5);
  messages.drop();
  say(6);
  messages.release();
  assert.equal(heard, [1, 2, 3, 4, 6]);
});

test.run();
