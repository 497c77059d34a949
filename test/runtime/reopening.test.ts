import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { OpenedReplica } from '../../src/runtime/directory.ts';
import { reasonFor } from '../../src/runtime/reopening.ts';
import { TestCluster } from '../core/metadata/fixtures.ts';

const PATH = '/data/broker-2/t-0';

/** Why nobody leads a partition in whose ISR brokers 1 and 2 were, where broker 2 has found this. */
function reasonOf(found: Partial<OpenedReplica> | undefined): string {
  const metadata = new TestCluster(2);
  metadata.run({ type: 'create-topic', name: 't', replicationFactor: 2 });
  const info = metadata.partition();
  const sound = {
    id: info.id,
    state: 'online',
    leo: 0,
    lastEpoch: 0,
    logStart: 0,
    hwm: 0,
    cuts: [],
  } as const;
  const findings = new Map(
    found === undefined ? [] : [[2, new Map([[info.id, { ...sound, ...found }]])] as const],
  );
  return reasonFor(info, findings, (broker) => `/data/broker-${broker}`);
}

test('who could not open its log says why in whole sentences, and others that they do not run', () => {
  for (const error of [`open ${PATH}: EACCES, permission is missing`, `${PATH} is missing.`]) {
    const reason = reasonOf({ state: 'offline', error });
    const sentence = error.replace(/\.$/, '');
    assert.match(reason, /could be opened: broker 1: it is not running\. broker 2: /);
    assert.ok(reason.endsWith(` broker 2: ${sentence}. Mend that, and start again.`), reason);
  }
});

test('damage comes with the command that shows what a repair would cost', () => {
  const reason = reasonOf({ state: 'damaged', error: 'It is damaged.' });
  assert.match(
    reason,
    /It is damaged\. Restore the files, or .*`npx tidemark log repair \/data\/broker-2\/t-0`/,
  );
});

test('of a broker that opened a log and does not lead it is not said that it does not run', () => {
  assert.match(reasonOf({}), /broker 2: it came with another directory than the one that was in sync\. Mend/);
});

test.run();
