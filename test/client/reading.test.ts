import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BrokerLink, FetchAnswer } from '../../src/client/broker-link.ts';
import { Reading } from '../../src/client/reading.ts';
import { Retries } from '../../src/client/retries.ts';
import type { Session, SessionListener } from '../../src/client/session.ts';
import { TidemarkError } from '../../src/errors.ts';
import { assertRefused } from './refusals.ts';

/** What would have ended a user's process. */
const unhandled: unknown[] = [];
process.on('unhandledRejection', (error) => unhandled.push(error));

/** A session whose only broker answers a fetch with this error, and that is told the reason when the test says it. */
class Refusing {
  readonly listeners = new Set<SessionListener>();
  readonly retries = new Retries();
  readonly isOpen = true;
  readonly directory: { known(): unknown };
  holders = 0;
  asked = 0;
  tell: (reason: string) => void = () => undefined;
  readonly #error: FetchAnswer['error'];

  constructor(error: FetchAnswer['error']) {
    this.#error = error;
    const info = { topic: 't', partition: 0, id: 0, leader: 1, epoch: 0, replicas: [1, 2], isr: [1, 2] };
    this.directory = { known: () => ({ partitions: [info] }) };
  }

  listen(listener: SessionListener): void {
    this.listeners.add(listener);
  }

  unlisten(listener: SessionListener): void {
    this.listeners.delete(listener);
  }

  hold(): void {
    this.holders++;
  }

  release(): void {
    this.holders--;
  }

  engaged(): void {}

  rackOf(): null {
    return null;
  }

  reasonFor(): Promise<string> {
    this.asked++;
    return new Promise((resolve) => {
      this.tell = resolve;
    });
  }

  link(): Pick<BrokerLink, 'fetch'> {
    const answer = { error: this.#error, hwm: 0, logStart: 0, bytes: new Uint8Array(0), from: 0, to: 0 };
    return {
      fetch: (_request, take) => {
        queueMicrotask(() => take(answer));
        return () => undefined;
      },
    };
  }
}

/** Resolves when whatever is about to happen has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

/** A read that has failed and asks why; without a `timeoutMs` to speak of, which a refusal of a disk may pass in. */
async function refused(error: FetchAnswer['error']): Promise<{ session: Refusing; reading: Reading }> {
  const session = new Refusing(error);
  const [broker, rack] = [1, undefined];
  const request = { topic: 't', partition: 0, offset: 0, maxBytes: 1, waitMs: 0, timeoutMs: 1, broker, rack };
  const reading = new Reading(session as unknown as Session, request);
  await settled();
  assert.is(session.asked, 1);
  return { session, reading };
}

for (const error of ['CORRUPT_MESSAGE', 'KAFKA_STORAGE_ERROR'] as const) {
  test(`a session that ends while a read asks for the reason of ${error} ends the read, once`, async () => {
    const { session, reading } = await refused(error);
    const outcome = assertRefused(reading.answer, 'CLOSED');
    for (const listener of session.listeners) listener.ended(new TidemarkError('CLOSED', 'It was closed.'));
    await outcome;
    session.tell('Its disk is full.');
    await settled();
    assert.equal(unhandled, []);
    assert.is(session.holders, 0);
    assert.is(session.listeners.size, 0);
  });

  test(`a read that asks for the reason of ${error} takes no other end than that`, async () => {
    const { session, reading } = await refused(error);
    const outcome = assertRefused(reading.answer, error, /Its disk is full\./);
    for (const listener of session.listeners) {
      listener.topicsChanged();
      listener.tick();
    }
    session.tell('Its disk is full.');
    await outcome;
    assert.is(session.asked, 1);
    assert.is(session.holders, 0);
  });
}

test.run();
