// time limit: 60 s
// Retention of live topics: what a reader was told is never taken back, and where it is sent on, it is sent forward.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Durability } from '../../src/index.ts';
import { type Cluster, TidemarkError } from '../../src/index.ts';
import { numbered, partitionOf, sleep, text, until, withCluster } from './fixtures.ts';

const WRITE_MS = 2_500;

interface Reader {
  records: number;
  /** How often what it wanted had been dropped. */
  sentOn: number;
  /** The first offset that it may still be given. */
  next: number;
}

/** Reads on as a consumer does that falls behind: pauses, and goes on from the start where it was overtaken. */
async function readOn(
  cluster: Cluster,
  reader: Reader,
  pauseMs: number,
  isOver: () => boolean,
): Promise<void> {
  let logStart = 0;
  while (!isOver()) {
    try {
      const { records, nextOffset, hwm } = await cluster.read('t', {
        partition: 0,
        offset: reader.next,
        maxBytes: 20_000,
        waitMs: 20,
      });
      for (const { offset, value } of records) {
        assert.is(offset, reader.next, 'no offset is missing, none comes back');
        assert.is(text(value)?.replaceAll('.', ''), `${offset}`);
        reader.next += 1;
        reader.records += 1;
      }
      assert.is(nextOffset, reader.next);
      assert.ok(hwm >= nextOffset);
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      assert.is(error.code, 'OFFSET_OUT_OF_RANGE');
      const [, from, to] = /from (\d+) up to (\d+)/.exec(error.message) ?? [];
      assert.ok(
        Number(from) > reader.next,
        `${reader.next} is refused, and ${from} is the first: it lies ahead`,
      );
      assert.ok(Number(from) >= logStart && Number(to) >= Number(from));
      logStart = Number(from);
      reader.next = logStart;
      reader.sentOn += 1;
      continue;
    }
    if (pauseMs > 0) await sleep(pauseMs);
  }
}

for (const durability of ['memory', 'os'] satisfies Durability[]) {
  test(`${durability}: readers beside retention see every offset once and in order, or are sent on`, () =>
    withCluster(
      { durability, topicConfig: { 'segment.bytes': 32_768, 'retention.bytes': 65_536 } },
      async (cluster) => {
        const producer = cluster.producer();
        let isOver = false;
        const ended = (): boolean => isOver;
        let sent = 0;
        const write = async (): Promise<void> => {
          while (!isOver) {
            await producer.sendBatch('t', numbered(50, 100, sent));
            sent += 50;
            await sleep(1);
          }
        };
        const readers = [0, 0, 60].map((): Reader => ({ records: 0, sentOn: 0, next: 0 }));
        const reading = readers.map((reader, index) => readOn(cluster, reader, [0, 1, 60][index], ended));
        const all = [write(), ...reading];
        await Promise.race([sleep(WRITE_MS), ...all]);
        isOver = true;
        await Promise.all(all);
        for (const { records } of readers) assert.ok(records > 100, `${records} records`);
        assert.ok(readers[2].sentOn > 0, 'the slow one was overtaken');
        const { logStart, hwm } = partitionOf(cluster);
        assert.is(hwm, sent);
        assert.ok(logStart > 0 && hwm - logStart < 2_500, `${logStart} to ${hwm}`);
        await until('the followers have everything', () =>
          Object.values(partitionOf(cluster).leo).every((leo) => leo === sent),
        );
      },
    ));
}

test.run();
