import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { compact } from '../log/compaction.ts';
import { scrub } from '../log/scrub.ts';
import { scanSegment } from '../log/segment-scan.ts';
import { AbortError, failureOf } from './background-client.ts';
import type { BackgroundAnswer, BackgroundRequest, BackgroundResult } from './background-tasks.ts';
import { nowMs } from './clock.ts';
import { FileDisk } from './file-disk.ts';
import { beforeEnd } from './thread-end.ts';

/** Shorter sleeps would cost more than they spare. */
const SLEEP_MIN_MS = 10;
const REPORT_EVERY_MS = 100;

// The thread ends by that.
process.once('uncaughtExceptionMonitor', beforeEnd);

/** One task of the pool. Its port takes progress one way; whatever comes the other way ends the task. */
export async function run(task: {
  readonly request: BackgroundRequest;
  readonly port: MessagePort;
}): Promise<BackgroundAnswer> {
  const { request, port } = task;
  try {
    return { result: await perform(request, port) };
  } catch (error) {
    return { failure: failureOf(error) };
  } finally {
    port.close();
  }
}

async function perform(
  request: BackgroundRequest,
  port: MessagePort,
): Promise<BackgroundResult<BackgroundRequest>> {
  requireWanted(port);
  const disk = new FileDisk(request.root);
  switch (request.kind) {
    case 'scan': {
      const file = disk.open(request.path);
      try {
        return scanSegment(file, request.options);
      } finally {
        file.close();
      }
    }
    case 'compact':
      return throttled(compact(disk, request.job), request.bytesPerSecond, port);
    case 'scrub':
      return throttled(scrub(disk, request.segment), request.bytesPerSecond, port);
  }
}

/** Runs steps that yield how many bytes they took, no faster than so many a second. */
async function throttled<T>(
  steps: Generator<number, T>,
  bytesPerSecond: number,
  port: MessagePort,
): Promise<T> {
  const startMs = nowMs();
  let reportedMs = startMs;
  let doneBytes = 0;
  try {
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      doneBytes += step.value;
      const spentMs = nowMs() - startMs;
      const aheadMs = (doneBytes / bytesPerSecond) * 1000 - spentMs;
      if (startMs + spentMs - reportedMs >= REPORT_EVERY_MS || aheadMs >= REPORT_EVERY_MS) {
        reportedMs = startMs + spentMs;
        port.postMessage(doneBytes);
      }
      if (aheadMs >= SLEEP_MIN_MS) await sleep(port, aheadMs);
      else requireWanted(port);
    }
  } finally {
    // A task that is ended in the midst of it removes what it has written; this does nothing to one that is done.
    steps.return(undefined as never);
  }
}

function requireWanted(port: MessagePort): void {
  if (receiveMessageOnPort(port) !== undefined) throw new AbortError('The task was aborted.');
}

/** Sleeps for so long, or until the task is no longer wanted. */
function sleep(port: MessagePort, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      clearTimeout(timer);
      reject(new AbortError('The task was aborted.'));
    };
    const timer = setTimeout(() => {
      port.off('message', aborted);
      resolve();
    }, ms);
    port.once('message', aborted);
  });
}
