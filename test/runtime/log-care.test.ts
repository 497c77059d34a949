import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { OpenFiles } from '../../src/log/open-files.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { type CareHost, LogCare } from '../../src/runtime/log-care.ts';
import { until } from '../threads/fixtures.ts';

interface Bench {
  readonly care: LogCare;
  /** How often somebody has looked for a log to care for. */
  readonly looks: () => number;
}

function careOf(everyMs: number): Bench {
  let looks = 0;
  const host = {
    id: 1,
    clock: systemClock,
    get replicas() {
      looks += 1;
      return [];
    },
  };
  const care = new LogCare(host as unknown as CareHost, {
    files: new OpenFiles(new MemoryDisk(), 10),
    root: undefined,
    background: undefined,
    notify: () => {},
    settings: { everyMs },
    saveCleaned: () => Promise.resolve(),
  });
  return { care, looks: () => looks };
}

test('whoever is closed while the care is being loaded begins none', async () => {
  const { care, looks } = careOf(1);
  await sleep(2);
  await care.close();
  await sleep(100);
  assert.is(looks(), 0);
});

test('the care begins with the first look, and ends with the close', async () => {
  const { care, looks } = careOf(1);
  // Its timer lets the process end; this one does not.
  const held = setInterval(() => {}, 1_000);
  await until('somebody looks', () => looks() > 0).finally(() => clearInterval(held));
  await care.close();
  const seen = looks();
  await sleep(50);
  assert.is(looks(), seen);
});

test.run();
