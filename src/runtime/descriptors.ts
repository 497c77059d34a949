import { readFileSync } from 'node:fs';
import { OPEN_FILES_MAX } from '../limits.ts';

/** What Windows allows, and others mostly exceed, where the system does not tell. */
const USUAL_DESCRIPTORS = 8_192;
/** Of a process's descriptors those that the logs' files may take: sockets, workers and all other files need some, too. */
const LOGS_SHARE = 3 / 4;
/** A first one or two will hardly stay alone. Those that have a share keep it when others join. */
const BROKERS_MIN = 3;

/** Looked up once: when descriptors have run out, it could not be. */
const allowed = descriptorsAllowed();

/** How many files the logs of one of so many brokers may keep open in this process. */
export function openFilesPerBroker(brokers: number, descriptors = allowed): number {
  const share = Math.floor((descriptors * LOGS_SHARE) / Math.max(BROKERS_MIN, brokers));
  return Math.max(1, Math.min(OPEN_FILES_MAX, share));
}

/** Node raises the limit to the highest when it starts. */
function descriptorsAllowed(): number {
  try {
    const [, soft] = /^Max open files +(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
    return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft ?? USUAL_DESCRIPTORS);
  } catch {
    return USUAL_DESCRIPTORS;
  }
}
