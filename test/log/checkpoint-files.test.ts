import { Buffer } from 'node:buffer';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  CheckpointError,
  decodeCleanShutdown,
  decodeEpochs,
  decodeMetaProperties,
  decodeOffsets,
  decodePartitionMetadata,
  encodeCleanShutdown,
  encodeEpochs,
  encodeMetaProperties,
  encodeOffsets,
  encodePartitionMetadata,
  readDecoded,
  readWhole,
  replaceFile,
  replaceFileNow,
  writeWhole,
} from '../../src/log/checkpoint-files.ts';
import { DiskError } from '../../src/log/disk.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { textOf } from './disk-contract.ts';
import { FaultyDisk } from './faulty-disk.ts';

const TOPIC_ID = 'MZYAyzXvR1-X6jOKCmaLOQ';
const META = { clusterId: 'mkU3OEVBNTcwNTJENDM2Qg', nodeId: 2, directoryId: 'T0k3rRRWQWaSSQ9K1D2R3w' };

interface Format {
  readonly encode: () => Buffer;
  /** Decodes, and encodes what that gave. */
  readonly again: (bytes: Buffer) => Buffer;
}

/** Each with a value whose text has all that can occur in it. */
const formats: Readonly<Record<string, Format>> = {
  epochs: {
    encode: () =>
      encodeEpochs([
        { epoch: 0, startOffset: 0 },
        { epoch: 4, startOffset: 1907 },
        { epoch: 15, startOffset: 2 ** 53 - 1 },
      ]),
    again: (bytes) => encodeEpochs(decodeEpochs('file', bytes)),
  },
  offsets: {
    encode: () =>
      encodeOffsets([
        { topic: 'orders', partition: 0, offset: 12 },
        { topic: 'a.b_c-1', partition: 10, offset: 0 },
        { topic: 'orders', partition: 1, offset: 9_007_199_254 },
      ]),
    again: (bytes) => encodeOffsets(decodeOffsets('file', bytes)),
  },
  'no offsets': {
    encode: () => encodeOffsets([]),
    again: (bytes) => encodeOffsets(decodeOffsets('file', bytes)),
  },
  'partition metadata': {
    encode: () => encodePartitionMetadata(TOPIC_ID),
    again: (bytes) => encodePartitionMetadata(decodePartitionMetadata('file', bytes)),
  },
  'meta properties': {
    encode: () => encodeMetaProperties(META),
    again: (bytes) => encodeMetaProperties(decodeMetaProperties('file', bytes)),
  },
  'clean shutdown': {
    encode: () => encodeCleanShutdown(170),
    again: (bytes) => encodeCleanShutdown(decodeCleanShutdown('file', bytes)),
  },
};

function refusal(act: () => unknown): CheckpointError {
  try {
    act();
  } catch (error) {
    if (error instanceof CheckpointError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

test('the texts are those that Kafka writes', () => {
  assert.is(formats.epochs.encode().toString(), '0\n3\n0 0\n4 1907\n15 9007199254740991\n');
  assert.is(formats.offsets.encode().toString(), '0\n3\norders 0 12\na.b_c-1 10 0\norders 1 9007199254\n');
  assert.is(formats['no offsets'].encode().toString(), '0\n0\n');
  assert.is(formats['partition metadata'].encode().toString(), `version: 0\ntopic_id: ${TOPIC_ID}`);
  assert.is(
    formats['meta properties'].encode().toString(),
    `version=1\ncluster.id=${META.clusterId}\nnode.id=2\ndirectory.id=${META.directoryId}\n`,
  );
  assert.is(formats['clean shutdown'].encode().toString(), '{"version":0,"brokerEpoch":170}');
});

test('meta.properties is read as Java writes it, with comments and in any order', () => {
  const text = `#\n#Sat Nov 21 11:30:34 UTC 2026\nnode.id=2\ndirectory.id=${META.directoryId}\nversion=1\ncluster.id=${META.clusterId}\n`;
  assert.equal(decodeMetaProperties('file', Buffer.from(text)), META);
});

test('what was encoded is decoded', () => {
  const whole = fc.nat(2 ** 31 - 1);
  const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 99 }), fc.integer({ min: 1, max: 2 ** 40 })));
  fc.assert(
    fc.property(steps, (gaps) => {
      let [epoch, startOffset] = [-1, -1];
      const entries = gaps.map(([more, further]) => {
        epoch += more;
        startOffset += further;
        return { epoch, startOffset };
      });
      assert.equal(decodeEpochs('file', encodeEpochs(entries)), entries);
    }),
  );
  const topic = fc.stringMatching(/^[a-zA-Z0-9._-]{1,249}$/).filter((name) => !/^\.{1,2}$/.test(name));
  const entry = fc.record({ topic, partition: whole, offset: fc.maxSafeNat() }, { noNullPrototype: true });
  const entries = fc.uniqueArray(entry, { selector: ({ topic, partition }) => `${topic} ${partition}` });
  fc.assert(fc.property(entries, (list) => assert.equal(decodeOffsets('file', encodeOffsets(list)), list)));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (id) => {
      const text = Buffer.from(id).toString('base64url');
      assert.is(decodePartitionMetadata('file', encodePartitionMetadata(text)), text);
    }),
  );
});

test('a flipped bit is refused by name, or makes another text that is read as it stands', () => {
  for (const [name, { encode, again }] of Object.entries(formats)) {
    const whole = encode();
    let refused = 0;
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const bytes = Buffer.from(whole);
      bytes[bit >>> 3] ^= 1 << (bit & 7);
      try {
        assert.ok(again(bytes).equals(bytes), `${name}, bit ${bit}: half of it was read`);
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw error;
        assert.ok(error.message.startsWith('file '), error.message);
        assert.ok(/^[ -~]+$/.test(error.message), error.message);
        refused += 1;
      }
    }
    assert.ok(
      refused > whole.length * 2,
      `${name}: only ${refused} of ${whole.length * 8} flips were refused`,
    );
  }
});

test('a file that was cut off, emptied, or grew a tail is refused', () => {
  for (const [name, { encode, again }] of Object.entries(formats)) {
    const whole = encode();
    const broken: Buffer[] = [
      Buffer.concat([whole, Buffer.from('x')]),
      Buffer.concat([whole, Buffer.alloc(20)]),
    ];
    for (let length = 0; length < whole.length; length++) {
      broken.push(whole.subarray(0, length));
      // As a file looks whose size reached the disk, but not all of its bytes.
      broken.push(Buffer.concat([whole.subarray(0, length), Buffer.alloc(whole.length - length)]));
    }
    for (const bytes of broken)
      assert.is(refusal(() => again(bytes)).reason, 'damaged', `${name}: ${bytes.toString('latin1')}`);
  }
});

test('noise is refused, never a crash', () => {
  const noise = fc.oneof(fc.uint8Array({ maxLength: 80 }), fc.string({ maxLength: 80 }));
  for (const { again } of Object.values(formats)) {
    fc.assert(
      fc.property(noise, (bytes) => {
        refusal(() => again(Buffer.from(bytes as Uint8Array)));
      }),
    );
  }
});

test('a newer version has a sentence of its own', () => {
  const newer: [string, RegExp][] = [
    ['epochs', /^0/],
    ['offsets', /^0/],
    ['partition metadata', /0/],
    ['meta properties', /1/],
    ['clean shutdown', /0/],
  ];
  for (const [name, version] of newer) {
    const text = formats[name].encode().toString().replace(version, '3');
    const error = refusal(() => formats[name].again(Buffer.from(text)));
    assert.is(error.reason, 'newer', name);
    assert.match(error.message, /^file has version 3; this version of Tidemark reads [01]\. /);
  }
});

test('the sentence says which line, what should be there, and what is', () => {
  const sentenceOf = (decode: (path: string, bytes: Buffer) => unknown, text: string): string =>
    refusal(() => decode('/data/file', Buffer.from(text))).message;
  const start = '/data/file is damaged: ';
  assert.is(sentenceOf(decodeOffsets, 'zero\n'), `${start}line 1 should be '0', and is 'zero'.`);
  assert.is(
    sentenceOf(decodeOffsets, '0\n'),
    `${start}line 2 should be the number of entries, and is missing.`,
  );
  const entry = "'<topic> <partition> <offset>', each partition once";
  assert.is(sentenceOf(decodeOffsets, '0\n1\na 0\n'), `${start}line 3 should be ${entry}, and is 'a 0'.`);
  assert.is(
    sentenceOf(decodeOffsets, '0\n2\na 0 1\na 0 1\n'),
    `${start}line 4 should be ${entry}, and is 'a 0 1'.`,
  );
  assert.is(
    sentenceOf(decodeOffsets, '0\n2\na 0 1\n'),
    `${start}line 4 should be ${entry}, one of 2 entries, and is missing.`,
  );
  assert.is(
    sentenceOf(decodeOffsets, '0\n1\na 0 1\nb 0 1\n'),
    `${start}line 4 should be the end after 1 entries, and is 'b 0 1'.`,
  );
  const epoch = "'<epoch> <start offset>', both above those before";
  for (const line of ['2 50', '1 60', '3 40', '3', '3 60 1', '03 60', '3 +60', '3 9007199254740992'])
    assert.is(
      sentenceOf(decodeEpochs, `0\n2\n2 50\n${line}\n`),
      `${start}line 4 should be ${epoch}, and is '${line}'.`,
    );
  assert.is(sentenceOf(decodeMetaProperties, 'version=1\nnode.id=1\n'), `${start}cluster.id is missing.`);
  assert.is(
    sentenceOf(decodeMetaProperties, 'version=0\nbroker.id=1\n'),
    `${start}line 2 should be version, cluster.id, node.id or directory.id, each once, and is 'broker.id=1'.`,
  );
});

test('what could not be read back is not written', () => {
  const isMisuse = (error: unknown): boolean => error instanceof Error && !(error instanceof CheckpointError);
  for (const number of [-1, 0.5, Number.NaN, 2 ** 53]) {
    assert.throws(() => encodeEpochs([{ epoch: 0, startOffset: number }]), isMisuse);
    assert.throws(() => encodeOffsets([{ topic: 'a', partition: 0, offset: number }]), isMisuse);
    assert.throws(() => encodeCleanShutdown(number), isMisuse);
    assert.throws(() => encodeMetaProperties({ ...META, nodeId: number }), isMisuse);
  }
  assert.throws(() => encodeOffsets([{ topic: 'a b', partition: 0, offset: 0 }]), isMisuse);
  assert.throws(() => encodePartitionMetadata('short'), isMisuse);
});

test('a file is read whole, in memory of its own; a missing one is undefined', () => {
  const disk = new MemoryDisk();
  assert.is(readWhole(disk, 'missing'), undefined);
  assert.is(readDecoded(disk, 'missing', decodeEpochs), undefined);
  const file = disk.open('large', 'create');
  const bytes = Buffer.from(Array.from({ length: 600_000 }, (_, n) => n % 251));
  file.write(0, [bytes]);
  const read = readWhole(disk, 'large');
  file.write(0, [Buffer.alloc(600_000)]);
  assert.ok(read?.equals(bytes));
  file.write(0, [Buffer.from('0\nx\n')]);
  assert.throws(
    () => readDecoded(disk, 'large', decodeEpochs),
    (error: unknown) => error instanceof CheckpointError && error.path === 'memory:large',
  );
  file.close();
});

test('a file that served before is written over, shorter or longer, and never emptied for it', () => {
  const file = new MemoryDisk().open('served', 'create');
  const sizes: number[] = [];
  const truncate = file.truncate.bind(file);
  file.truncate = (size) => {
    sizes.push(size);
    truncate(size);
  };
  for (const text of ['three', 'four and more', 'five', 'sixth']) {
    writeWhole(file, Buffer.from(text));
    assert.is(file.read(0, file.size).toString(), text);
  }
  assert.equal(sizes, [4]);
  writeWhole(file, Buffer.alloc(0));
  assert.is(file.size, 0);
});

test('a file is replaced whole, shorter or longer, whatever a crash has left beside it', async () => {
  const disk = new MemoryDisk();
  disk.makeDirectory('topic-0');
  const left = disk.open('topic-0/a.tmp', 'create');
  left.write(0, [Buffer.alloc(100, 0x78)]);
  left.close();
  await replaceFile(disk, 'topic-0/a', Buffer.from('first'));
  assert.is(textOf(disk, 'topic-0/a'), 'first');
  replaceFileNow(disk, 'topic-0/a', Buffer.from('2'));
  assert.is(textOf(disk, 'topic-0/a'), '2');
  await replaceFile(disk, 'topic-0/a', Buffer.from(''));
  assert.is(textOf(disk, 'topic-0/a'), '');
  assert.equal(disk.list('topic-0'), ['a']);
  await replaceFile(disk, 'top', Buffer.from('level'));
  assert.is(textOf(disk, 'top'), 'level');
});

test('replacements of one file follow one another, and nobody passes them by', async () => {
  const disk = new MemoryDisk();
  const all = ['one', 'two', 'three'].map((text) => replaceFile(disk, 'a', Buffer.from(text)));
  assert.throws(() => replaceFileNow(disk, 'a', Buffer.from('now')), /is being replaced durably/);
  await all[0];
  assert.is(textOf(disk, 'a'), 'one');
  await Promise.all(all);
  assert.is(textOf(disk, 'a'), 'three');
  replaceFileNow(disk, 'a', Buffer.from('now'));
  assert.is(textOf(disk, 'a'), 'now');
});

/** Every operation of replacing `a`, one after the other: what the disk is afterwards. */
async function atEveryOperation(
  replace: (disk: FaultyDisk) => Promise<void> | void,
  judge: (disk: FaultyDisk, wasReplaced: boolean) => void,
): Promise<void> {
  for (const code of ['ENOSPC', 'EIO']) {
    for (const always of [false, true]) {
      for (let seed = 0; seed < 20; seed++) {
        let wasReplaced = false;
        for (let nth = 1; !wasReplaced; nth++) {
          assert.ok(nth < 20);
          const disk = new FaultyDisk({ seed: seed * 100 + nth });
          await replaceFile(disk, 'a', Buffer.from('old'));
          disk.fail({ kind: 'any', nth, code, always });
          try {
            await replace(disk);
            wasReplaced = true;
          } catch (error) {
            assert.ok(error instanceof DiskError && error.code === code);
          }
          disk.heal();
          judge(disk, wasReplaced);
        }
      }
    }
  }
}

test('a durable replacement that a fault or a power cut hits leaves the old file or the new one', async () => {
  const seen = new Set<string>();
  await atEveryOperation(
    (disk) => replaceFile(disk, 'a', Buffer.from('new file')),
    (disk, wasReplaced) => {
      for (const after of [disk.kill('cut'), disk.crash(), disk.crash()]) {
        const text = textOf(after, 'a');
        assert.ok(text === 'new file' || (!wasReplaced && text === 'old'), text);
        seen.add(`${wasReplaced} ${text}`);
      }
    },
  );
  assert.equal([...seen].sort(), ['false new file', 'false old', 'true new file']);
});

test('a replacement without syncs that a fault or a kill hits leaves the old file or the new one', () =>
  atEveryOperation(
    (disk) => replaceFileNow(disk, 'a', Buffer.from('new file')),
    (disk, wasReplaced) => assert.is(textOf(disk.kill(), 'a'), wasReplaced ? 'new file' : 'old'),
  ));

test('after a replacement that failed, the next one succeeds', async () => {
  const disk = new FaultyDisk();
  disk.fail({ kind: 'sync', nth: 1, code: 'EIO' });
  const first = replaceFile(disk, 'a', Buffer.from('first')).then(
    () => 'done',
    () => 'refused',
  );
  await replaceFile(disk, 'a', Buffer.from('second'));
  assert.is(await first, 'refused');
  assert.is(textOf(disk.crash(), 'a'), 'second');
});

test.run();
