import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { TidemarkError } from '../errors.ts';
import { wallClockMs } from './clock.ts';
import { isAlive, type ProcessIdentity, thisProcess } from './process-identity.ts';

/** Who holds a lock. The token tells two locks of one process apart. */
interface Holder extends ProcessIdentity {
  /** The machine went down under an earlier holder, and nobody has brought the files into order since. */
  readonly powerLost: boolean;
  readonly token: string;
}

const LOCK_NAME = '.lock';
/** A taker needs its temporary file for a moment; one that is older was left by a taker that died. */
const TEMPORARY_MAX_MS = 60_000;

/** No system gives a process so high a number: a lock with it is that of a dead holder. */
const NO_PID = 2 ** 31 - 1;

/** A taker that finds another one at work looks again; each look finds a state that has changed, or a live holder. */
const TRIES_MAX = 20;

/**
 * A data directory belongs to one cluster at a time. The lock is a file that appears with all that it says, by a hard
 * link, so that nobody ever finds half of one. One whose process is gone is taken over: who may replace it is decided by
 * a lock of its own, named after what is replaced, and so on should that taker die too.
 */
export class DirectoryLock {
  readonly #path: string;
  /** Somebody died who had it, or left it behind: the files may not be in order. */
  readonly isTakenOver: boolean;
  #holder: Holder;

  private constructor(path: string, { mine, isTakenOver }: Extract<Taken, { mine: Holder }>) {
    this.#path = path;
    this.#holder = mine;
    this.isTakenOver = isTakenOver;
  }

  /** Refuses with DATA_DIRECTORY_LOCKED where somebody else has it. */
  static acquire(directory: string): DirectoryLock {
    const path = join(directory, LOCK_NAME);
    const holder: Holder = { ...thisProcess(), powerLost: false, token: randomBytes(8).toString('hex') };
    const taken = take(path, holder);
    if ('other' in taken) throw locked(directory, path, taken.other);
    sweepTemporaries(directory);
    return new DirectoryLock(path, taken);
  }

  /**
   * Whether the machine may have gone down since the directory was last in order. A lock that was let go, or none, says
   * that it was.
   */
  get wasPowerLost(): boolean {
    return this.#holder.powerLost;
  }

  /** The files are in order: what comes next is judged from now on. */
  recovered(): void {
    if (!this.#holder.powerLost) return;
    this.#holder = { ...this.#holder, powerLost: false };
    replaceWhole(this.#path, textOf(this.#holder));
  }

  /** Lets go, if the lock still is this one. That power was lost stays known until the files were brought into order. */
  release(): void {
    if (this.#holder.powerLost) this.leave();
    else if (this.#isMine()) rmSync(this.#path, { force: true });
  }

  /**
   * Lets go of files that are not in order, if the lock still is this one: it stays, held by nobody, so that the next
   * holder learns whether the machine has gone down before it came.
   */
  leave(): void {
    if (!this.#isMine()) return;
    const text = textOf({ ...this.#holder, pid: NO_PID });
    try {
      replaceWhole(this.#path, text);
    } catch {
      // A full disk still takes new bytes for old ones, and there are no fewer of them: no pid has more digits.
      writeTo(this.#path, text, 'r+');
    }
  }

  /**
   * The process ends without having left its files in order. The lock stays where the system tells the next one that its
   * holder is dead: then it also tells whether the machine went down since.
   */
  abandon(): void {
    if (this.#holder.startTime === '' || this.#holder.boot === '') this.release();
  }

  #isMine(): boolean {
    return readText(this.#path) === textOf(this.#holder);
  }
}

/** The process that holds the lock of a data directory at this moment. */
export function lockHolder(directory: string): number | undefined {
  const text = readText(join(directory, LOCK_NAME));
  const holder = text === undefined ? undefined : parseHolder(text);
  return holder !== undefined && isAlive(holder) ? holder.pid : undefined;
}

type Taken =
  | { readonly mine: Holder; readonly isTakenOver: boolean }
  | { readonly other: Holder | 'unknown' };

/** Puts a lock there; where somebody alive has it, tells who. 'unknown' are others that took it again and again. */
function take(path: string, holder: Holder): Taken {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    if (createWhole(path, textOf(holder))) return { mine: holder, isTakenOver: false };
    const text = readText(path);
    if (text === undefined) continue;
    const found = parseHolder(text);
    if (found === undefined) throw unreadable(path, 'is a lock that cannot be read');
    if (isAlive(found)) return { other: found };
    const taken = replaceDead(path, text, found, holder);
    if (taken !== 'again') return taken;
  }
  return { other: 'unknown' };
}

/** Replaces the lock of a dead holder, unless another taker was faster. */
function replaceDead(path: string, text: string, dead: Holder, holder: Holder): Taken | 'again' {
  const right = `${path}.${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
  const taken = take(right, holder);
  if ('other' in taken) return taken;
  try {
    // Whoever held this right before has replaced the lock before letting go of the right.
    if (readText(path) !== text) return 'again';
    const isSameBoot = dead.boot !== '' && dead.boot === holder.boot;
    const mine = { ...holder, powerLost: dead.powerLost || !isSameBoot };
    replaceWhole(path, textOf(mine));
    return { mine, isTakenOver: true };
  } finally {
    rmSync(right, { force: true });
  }
}

function textOf(holder: Holder): string {
  return `${JSON.stringify(holder)}\n`;
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
    writeTo(path, text, 'wx');
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw cause;
  }
}

function replaceWhole(path: string, text: string): void {
  const temporary = writeTemporary(path, text);
  try {
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function writeTemporary(path: string, text: string): string {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  try {
    writeTo(temporary, text, 'wx');
    return temporary;
  } catch (error) {
    // A full disk takes the name, and not what belongs there.
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** What takers that died have left. Others may be at work just now. */
function sweepTemporaries(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (!isLockFile(name) || !name.endsWith('.tmp')) continue;
    const path = join(directory, name);
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats !== undefined && wallClockMs() - stats.mtimeMs > TEMPORARY_MAX_MS)
      rmSync(path, { force: true });
  }
}

function writeTo(path: string, text: string, flags: 'wx' | 'r+'): void {
  const file = openSync(path, flags);
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
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'EISDIR')
      throw unreadable(path, 'is a directory, where the lock of the data directory belongs');
    throw cause;
  }
}

function unreadable(path: string, what: string): TidemarkError {
  return new TidemarkError(
    'DATA_DIRECTORY_INVALID',
    `The path ${path} ${what}: remove it if no Tidemark is running there, and start again.`,
  );
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, startTime, boot, powerLost, token } = JSON.parse(text) as Holder;
    const isSound =
      Number.isInteger(pid) &&
      pid > 0 &&
      [startTime, boot, token].every((each) => typeof each === 'string') &&
      typeof powerLost === 'boolean';
    return isSound ? { pid, startTime, boot, powerLost, token } : undefined;
  } catch {
    return undefined;
  }
}

function locked(directory: string, path: string, holder: Holder | 'unknown'): TidemarkError {
  if (holder === 'unknown') {
    return new TidemarkError(
      'DATA_DIRECTORY_LOCKED',
      `The data directory ${directory} is being taken by others at this moment, as ${path} shows; try again.`,
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
