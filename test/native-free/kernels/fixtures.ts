/** Contents, vectors and corruptions for the tests of the codecs. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { CodecError, type CodecErrorCode } from '../../../native-free/kernels/codec-error.ts';

const vectors = new URL('../../../../test/vectors/native-free/', import.meta.url);

/** The rows of one file of vectors; its README.md says who made them. */
export function rowsOf<Row>(name: string): Row[] {
  return JSON.parse(readFileSync(new URL(name, vectors), 'utf8')) as Row[];
}

/** A generator of 32-bit numbers that gives the same ones every time. */
export function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state;
  };
}

/** Bytes without any order; the vectors' generator made the same. */
export function noise(length: number): Uint8Array {
  const next = numbersFrom(1);
  return Uint8Array.from({ length }, () => next() >>> 24);
}

/** Lines of JSON that come again after 97; the vectors' generator made the same. */
export function lines(length: number): Uint8Array {
  let text = '';
  for (let line = 0, id = 0; text.length < length; line++, id = line % 97) {
    text += `{"id":${id},"name":"customer-${id % 17}","paid":${id % 3 !== 0}}\n`;
  }
  return Buffer.from(text.slice(0, length));
}

/** The content that a row of the vectors names. */
export function contentOf(name: string): Uint8Array {
  if (name.includes(' + ')) return Buffer.concat(name.split(' + ').map(contentOf));
  const [kind, length = '0'] = name.split('-');
  if (kind === 'empty') return new Uint8Array(0);
  if (kind === 'letter') return Buffer.from('a');
  if (kind === 'noise') return noise(Number(length));
  if (kind === 'lines') return lines(Number(length));
  if (kind === 'zeros') return new Uint8Array(Number(length));
  const mixed = Buffer.concat([noise(1500), lines(40_000), Buffer.from('ab'.repeat(1000)), lines(80_000)]);
  return mixed.subarray(0, Number(length));
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function assertSameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assert.is(actual.length, expected.length, `${what}: length`);
  assert.ok(Buffer.compare(actual, expected) === 0, `${what}: bytes`);
}

/** The code of the CodecError that the call must throw. */
export function refusalOf(call: () => unknown): CodecErrorCode {
  try {
    call();
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    assert.match(error.message, /^[A-Z].*\.$/);
    return error.code;
  }
  throw new Error('The call was to throw a CodecError, and returned.');
}

/** A copy with one to four bytes changed, taken out or put in. */
export function corrupted(bytes: Uint8Array, next: () => number): Uint8Array {
  const changed = Array.from(bytes);
  for (let changes = 1 + (next() >>> 30); changes > 0; changes--) {
    const at = (next() >>> 8) % changed.length;
    const how = next() >>> 29;
    if (how === 0) changed.splice(at, 1);
    else if (how === 1) changed.splice(at, 0, next() >>> 24);
    else if (how === 2) changed[at] = 255;
    else if (how === 3) changed[at] = (changed[at] as number) ^ (1 << (next() >>> 29));
    else changed[at] = next() >>> 24;
    if (changed.length === 0) return new Uint8Array(0);
  }
  return Uint8Array.from(changed);
}
