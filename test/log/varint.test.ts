import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { varintBytes, varlongBytes, writeVarint, writeVarlong } from '../../src/log/varint.ts';
import { VarintReader } from '../../src/log/varint-reader.ts';

/** The definition with BigInt, written apart from the code under test. */
function expectedBytes(value: number, bits: bigint): number[] {
  const wide = BigInt(value);
  let zigzag = BigInt.asUintN(Number(bits), (wide << 1n) ^ (wide >> (bits - 1n)));
  const groups: number[] = [];
  while (zigzag >= 0x80n) {
    groups.push(Number(zigzag & 0x7fn) | 0x80);
    zigzag >>= 7n;
  }
  groups.push(Number(zigzag));
  return groups;
}

function checkVarint(value: number): void {
  const bytes = new Uint8Array(8);
  const end = writeVarint(bytes, 1, value);
  const expected = expectedBytes(value, 32n);
  assert.equal([...bytes.subarray(1, end)], expected, `varint ${value}`);
  assert.is(varintBytes(value), expected.length, `varint ${value}`);
  assert.equal([...bytes.subarray(end)], new Array(8 - end).fill(0));
  const reader = new VarintReader(bytes, 1, end);
  assert.is(reader.readVarint(), value);
  assert.is(reader.at, end);
}

function checkVarlong(value: number): void {
  const bytes = new Uint8Array(12);
  const end = writeVarlong(bytes, 1, value);
  const expected = expectedBytes(value, 64n);
  assert.equal([...bytes.subarray(1, end)], expected, `varlong ${value}`);
  assert.is(varlongBytes(value), expected.length, `varlong ${value}`);
  assert.equal([...bytes.subarray(end)], new Array(12 - end).fill(0));
  const reader = new VarintReader(bytes, 1, end);
  assert.is(reader.readVarlong(), value);
  assert.is(reader.at, end);
}

test('integers around every power of two are written as the definition says', () => {
  for (let power = 0; power <= 53; power++) {
    for (const near of [-1, 0, 1]) {
      for (const sign of [-1, 1]) {
        const value = sign * (2 ** power + near);
        if (!Number.isSafeInteger(value)) continue;
        checkVarlong(value + 0);
        if ((value | 0) === value) checkVarint(value + 0);
      }
    }
  }
});

test('any integer comes back from a varint and a varlong', () => {
  fc.assert(fc.property(fc.integer(), checkVarint), { numRuns: 2000 });
  fc.assert(fc.property(fc.maxSafeInteger(), checkVarlong), { numRuns: 2000 });
});

test('a varint of more than 32 bits is refused', () => {
  const tooWide = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x1f);
  assert.throws(() => new VarintReader(tooWide, 0, 5).readVarint(), /does not fit 32 bits/);
  const tooLong = Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x00);
  assert.throws(() => new VarintReader(tooLong, 0, 6).readVarint(), /does not fit 32 bits/);
});

test('a varlong of more than 64 bits is refused, and the longest one is read', () => {
  const smallest = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
  assert.is(new VarintReader(smallest, 0, 10).readVarlong(), -(2 ** 63));
  const tooWide = smallest.slice();
  tooWide[9] = 0x02;
  assert.throws(() => new VarintReader(tooWide, 0, 10).readVarlong(), /does not fit 64 bits/);
  const tooLong = new Uint8Array(20).fill(0x80);
  assert.throws(() => new VarintReader(tooLong, 0, 20).readVarlong(), /does not fit 64 bits/);
});

test('padded integers are read as Java reads them', () => {
  assert.is(new VarintReader(Uint8Array.of(0x82, 0x80, 0x00), 0, 3).readVarint(), 1);
  assert.is(new VarintReader(Uint8Array.of(0x81, 0x80, 0x00), 0, 3).readVarlong(), -1);
});

test('an integer that is cut off is refused at the end that was given, not at the end of the memory', () => {
  const bytes = Uint8Array.of(0x80, 0x80, 0x01, 0x01);
  assert.throws(() => new VarintReader(bytes, 0, 2).readVarint(), /middle of a field/);
  assert.throws(() => new VarintReader(bytes, 0, 2).readVarlong(), /middle of a field/);
  assert.throws(() => new VarintReader(bytes, 4, 4).readByte(), /middle of a field/);
});

test.run();
