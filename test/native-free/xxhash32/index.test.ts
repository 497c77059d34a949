import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Kernels, WORKSPACE_BYTES } from '../../../native-free/kernels/index.ts';
import { xxhash32 } from '../../../native-free/xxhash32/index.ts';
import { noise, rowsOf } from '../kernels/fixtures.ts';

test('the plain code and the kernel hash as other implementations do, with every seed', () => {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
  const kernels = new Kernels(memory, 0);
  const place = new Uint8Array(memory.buffer, WORKSPACE_BYTES + 1);
  const rows = rowsOf<{ noiseBytes: number; seed: number; xxhash32: number }>('xxhash32.json');
  assert.ok(rows.length > 80);
  for (const row of rows) {
    const bytes = noise(row.noiseBytes);
    place.set(bytes);
    const what = `${row.noiseBytes} bytes, seed ${row.seed}`;
    assert.is(xxhash32(bytes, row.seed), row.xxhash32, what);
    assert.is(kernels.xxhash32(WORKSPACE_BYTES + 1, bytes.length, row.seed), row.xxhash32, what);
  }
});

test.run();
