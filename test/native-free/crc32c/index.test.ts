import CRC32C from 'crc-32/crc32c.js';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32c } from '../../../native-free/crc32c/index.ts';
import { crc32cByTable } from '../../../native-free/crc32c/table.ts';
import { noise, rowsOf } from '../kernels/fixtures.ts';

test('both ways give the checksums of RFC 3720', () => {
  const rows = rowsOf<{ source: string; hex: string; crc32c: number }>('crc32c-rfc3720.json');
  assert.ok(rows.length >= 6);
  for (const row of rows) {
    const bytes = Buffer.from(row.hex, 'hex');
    assert.is(crc32c(bytes), row.crc32c, row.source);
    assert.is(crc32cByTable(bytes), row.crc32c, row.source);
  }
});

test('both ways give the checksums of other implementations at the lengths where the kernel changes its way', () => {
  for (const row of rowsOf<{ noiseBytes: number; crc32c: number }>('crc32c-noise.json')) {
    const bytes = noise(row.noiseBytes);
    assert.is(crc32c(bytes), row.crc32c, `${row.noiseBytes} bytes`);
    assert.is(crc32cByTable(bytes), row.crc32c, `${row.noiseBytes} bytes by table`);
  }
});

test('it agrees with crc-32 over shared memory, from any place within a word', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(200_000));
  shared.set(noise(shared.length));
  for (let shift = 0; shift < 9; shift++) {
    for (const length of [
      0, 5, 127, 128, 129, 1000, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_072, 150_001,
    ]) {
      const bytes = shared.subarray(shift, shift + length);
      assert.is(crc32c(bytes), CRC32C.buf(bytes) >>> 0, `${length} bytes from ${shift}`);
    }
  }
});

test('a checksum goes on from the one before', () => {
  const bytes = noise(200_000);
  const whole = crc32c(bytes);
  for (const part of [0, 3, 100, 5000, 65_536, 199_999]) {
    assert.is(crc32c(bytes.subarray(part), crc32c(bytes.subarray(0, part))), whole, `split at ${part}`);
    assert.is(
      crc32cByTable(bytes.subarray(part), crc32c(bytes.subarray(0, part))),
      whole,
      `split at ${part}`,
    );
  }
});

test.run();
