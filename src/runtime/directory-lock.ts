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
  /** Which start of the machine that was; '' where the system does not say. */
  readonly boot: string;
  /** The machine went down under an earlier holder, and nobody has brought the files into order since. */
  readonly powerLost: boolean;
  readonly token: string;
}

const LOCK_NAME = '.lock';

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
  #holder: Holder;

  private constructor(path: string, holder: Holder) {
    this.#path = path;
    this.#holder = holder;
  }

  /** Refuses with DATA_DIRECTORY_LOCKED where somebody else has it. */
  static acquire(directory: string): DirectoryLock {
    const path = join(directory, LOCK_NAME);
    const holder: Holder = { ...thisProcess(), powerLost: false, token: randomBytes(8).toString('hex') };
    const taken = take(path, holder);
    if ('other' in taken) throw locked(directory, path, taken.other);
    return new DirectoryLock(path, taken.mine);
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
    renameSync(writeTemporary(this.#path, textOf(this.#holder)), this.#path);
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
      renameSync(writeTemporary(this.#path, text), this.#path);
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

type Taken = { readonly mine: Holder } | { readonly other: Holder | 'unknown' };

/** Puts a lock there; where somebody alive has it, tells who. 'unknown' is a file that says nothing. */
function take(path: string, holder: Holder): Taken {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    if (createWhole(path, textOf(holder))) return { mine: holder };
    const text = readText(path);
    if (text === undefined) continue;
    const found = parseHolder(text);
    if (found === undefined) return { other: 'unknown' };
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
    renameSync(writeTemporary(path, textOf(mine)), path);
    return { mine };
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

function writeTemporary(path: string, text: string): string {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  writeTo(temporary, text, 'wx');
  return temporary;
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
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
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

/** Whether the process that wrote the lock runs: a later one with its number was started at another time. */
function isAlive({ pid, startTime, boot }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (cause) {
    // A process of somebody else may not be signalled, but it is there.
    if ((cause as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const now = startTimeOf(pid);
  if (now === '' || startTime === '') return true;
  return now === startTime && boot === bootId();
}

function thisProcess(): { pid: number; startTime: string; boot: string } {
  return { pid: process.pid, startTime: startTimeOf(process.pid), boot: bootId() };
}

/** Linux tells in field 22 of a process's stat when it was started, counted from the machine's start. */
function startTimeOf(pid: number): string {
  const stat = readSystem(`/proc/${pid}/stat`);
  // The second field is a name in parentheses that may hold anything, blanks too.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

function bootId(): string {
  return readSystem('/proc/sys/kernel/random/boot_id').trim();
}

function readSystem(path: string): string {
  if (process.platform !== 'linux') return '';
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
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
