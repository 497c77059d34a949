// What the files of a partition are called: Kafka's names.

const OFFSET_DIGITS = 20;

export const LOG_SUFFIX = '.log';
export const INDEX_SUFFIX = '.index';
export const TIME_INDEX_SUFFIX = '.timeindex';
/** What was known of idempotent producers where a segment begins, or the log ended. */
export const SNAPSHOT_SUFFIX = '.snapshot';
export const EPOCHS_FILE = 'leader-epoch-checkpoint';
/** A segment that was given up: its bytes mean nothing any more, and the file may serve again. */
export const DELETED_SUFFIX = '.deleted';
/** A segment that was damaged and set aside: kept for people, never read again. */
export const DAMAGED_SUFFIX = '.damaged';

/** A partition's directory that was given up: what is left in it goes. */
export const REMOVED_SUFFIX = '-delete';

export function partitionDirectory(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}

/** Whose directory has this name. */
export function partitionOf(name: string): { topic: string; partition: number } {
  const dash = name.lastIndexOf('-');
  return { topic: name.slice(0, dash), partition: Number(name.slice(dash + 1)) };
}

/** A segment's file: its base offset in twenty digits, so that names sort as offsets do. */
export function segmentFile(baseOffset: number, suffix: string): string {
  return `${String(baseOffset).padStart(OFFSET_DIGITS, '0')}${suffix}`;
}

/** The base offset in a segment file's name, or undefined where the name is none. */
export function baseOffsetOf(name: string, suffix: string): number | undefined {
  if (name.length !== OFFSET_DIGITS + suffix.length || !name.endsWith(suffix)) return undefined;
  const digits = name.slice(0, OFFSET_DIGITS);
  const offset = Number(digits);
  return /^\d+$/.test(digits) && Number.isSafeInteger(offset) ? offset : undefined;
}
