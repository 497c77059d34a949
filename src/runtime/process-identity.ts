import { readFileSync, readlinkSync } from 'node:fs';

/** A process, told apart from a later one with the same number where the system lets us. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When the process was started, as the operating system counts; '' where it does not say. */
  readonly startTime: string;
  /** Which start of the machine that was; '' where the system does not say. */
  readonly boot: string;
}

export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, startTime: startTimeOf(process.pid), boot: bootId() };
}

/** Whether it runs: a later one with its number was started at another time. */
export function isAlive({ pid, startTime, boot }: ProcessIdentity): boolean {
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

/** Containers may share files and the machine's start, but not the numbers of processes; '' where nobody can tell. */
export function processNamespace(): string {
  try {
    return process.platform === 'linux' ? readlinkSync('/proc/self/ns/pid') : '';
  } catch {
    return '';
  }
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
