// What uvu's assert.throws takes to check the kind of an error: given a class, it would only call it.
import { CorruptFrameError } from '../../../native-free/sharedarraybuffer-utils/index.ts';

export const isRangeError = (error: unknown): boolean => error instanceof RangeError;
export const isTypeError = (error: unknown): boolean => error instanceof TypeError;
export const isCorruptFrameError = (error: unknown): boolean =>
  error instanceof CorruptFrameError && error.code === 'CORRUPT_FRAME';
