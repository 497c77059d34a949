import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { TidemarkError } from '../errors.ts';

/** Who holds a lock. The token tells two locks of one process apart. */
interface Holder {
  readonly pid: number;
  /** When the process was started, as the operating system counts; '' where it does not say. */
  readonly startTime: string;
  readonly token: string;
}

const LOCK_NAME = '.lock';

/** A taker that finds another one at work looks again; each look finds a state that has changed, or a live holder. */
const TRIES_MAX = 20;

/**
 * A data directory belongs to one cluster at a time. The lock is a file that appears with all that it says, by a hard
 * link, so that nobody ever finds half of one. One whose process is gone is taken over: who may replace it is decided by
 * a lock of its own, named after what is replaced, and so on should that taker die too.
 */
export class DirectoryLock {
  readonly #path: string;
  readonly #text: string;

  private constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
  }

  /** Refuses with DATA_DIRECTORY_LOCKED where somebody else has it. */
  static acquire(directory: string): DirectoryLock {
    const path = join(directory, LOCK_NAME);
    const startTime = startTimeOf(process.pid) ?? '';
    const holder: Holder = { pid: process.pid, startTime, token: randomBytes(8).toString('hex') };
    const text = `${JSON.stringify(holder)}\n`;
    const other = take(path, text);
    if (other !== undefined) throw locked(directory, path, other);
    return new DirectoryLock(path, text);
  }

  /** Lets go, if the lock still is this one. */
  release(): void {
    if (readText(this.#path) === this.#text) rmSync(this.#path, { force: true });
  }
}

/** The process that holds the lock of a data directory at this moment. */
export function lockHolder(directory: string): number | undefined {
  const text = readText(join(directory, LOCK_NAME));
  const holder = text === undefined ? undefined : parseHolder(text);
  return holder !== undefined && isAlive(holder) ? holder.pid : undefined;
}

/** Puts a lock there; where somebody alive has it, tells who. 'unknown' is a file that says nothing. */
function take(path: string, text: string): Holder | 'unknown' | undefined {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    if (createWhole(path, text)) return undefined;
    const found = readText(path);
    if (found === undefined) continue;
    const holder = parseHolder(found);
    if (holder === undefined) return 'unknown';
    if (isAlive(holder)) return holder;
    const other = replaceDead(path, found, text);
    if (other !== 'again') return other;
  }
  return 'unknown';
}

/** Replaces the lock `found`, whose holder is dead, unless another taker was faster. */
function replaceDead(path: string, found: string, text: string): Holder | 'unknown' | 'again' | undefined {
  const right = `${path}.${createHash('sha256').update(found).digest('hex').slice(0, 16)}`;
  const other = take(right, text);
  if (other !== undefined) return other;
  try {
    // Whoever held this right before has replaced the lock before letting go of the right.
    if (readText(path) !== found) return 'again';
    const temporary = writeTemporary(path, text);
    renameSync(temporary, path);
    return undefined;
  } finally {
    rmSync(right, { force: true });
  }
}

/** False where the file is there already. */
function createWhole(path: string, text: string): boolean {
  const temporary = writeTemporary(path, text);
  try {
    linkSync(temporary, path);
    return true;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // File systems without hard links: there the text follows the name by a moment.
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'ENOSYS')
      return createExclusively(path, text);
    throw cause;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function createExclusively(path: string, text: string): boolean {
  try {
    writeNew(path, text);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw cause;
  }
}

function writeTemporary(path: string, text: string): string {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  writeNew(temporary, text);
  return temporary;
}

function writeNew(path: string, text: string): void {
  const file = openSync(path, 'wx');
  try {
    writeSync(file, text);
    // After a power cut there must be no lock that says nothing.
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, startTime, token } = JSON.parse(text) as Holder;
    const isSound =
      Number.isInteger(pid) && pid > 0 && typeof startTime === 'string' && typeof token === 'string';
    return isSound ? { pid, startTime, token } : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the process that wrote the lock runs: a later one with its number was started at another time. */
function isAlive({ pid, startTime }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (cause) {
    // A process of somebody else may not be signalled, but it is there.
    if ((cause as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const now = startTimeOf(pid);
  return now === undefined || startTime === '' || now === startTime;
}

/** Linux tells in field 22 of a process's stat when it was started; with the boot's id, times of two boots differ. */
function startTimeOf(pid: number): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is a name in parentheses that may hold anything, blanks too.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${fields[19]}@${boot}`;
  } catch {
    return undefined;
  }
}

function locked(directory: string, path: string, holder: Holder | 'unknown'): TidemarkError {
  if (holder === 'unknown') {
    return new TidemarkError(
      'DATA_DIRECTORY_LOCKED',
      `The data directory ${directory} has a lock that cannot be read: remove ${path} if no Tidemark is running there.`,
    );
  }
  const who =
    holder.pid === process.pid
      ? `this process (pid ${holder.pid}) already`
      : `the process with pid ${holder.pid}`;
  return new TidemarkError(
    'DATA_DIRECTORY_LOCKED',
    `The data directory ${directory} is in use by ${who}; close that cluster first, or use another directory.`,
  );
}

/** Whether a file of a data directory is its lock, or was left by somebody who took it. */
export function isLockFile(name: string): boolean {
  return name === LOCK_NAME || name.startsWith(`${LOCK_NAME}.`);
}
