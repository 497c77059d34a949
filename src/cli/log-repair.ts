import { join } from 'node:path';
import { Command } from 'commander';
import { inspectPartition } from '../log/inspection.ts';
import { planRepair, type RepairStep, repairPartition } from '../log/repair.ts';
import { DirectoryLock } from '../runtime/directory-lock.ts';
import { FileDisk } from '../runtime/file-disk.ts';
import { CommandError, ExitCode, isSystemError, type Terminal } from './command-line.ts';
import { isCompacted, isMetadataLog, type LogDirectory, partitionsAt } from './log-paths.ts';
import { counted, logsAt, metadataOf } from './log-verify.ts';
import { Progress } from './progress.ts';

/** Cut short, a voter would vote as if it had never promised what lay there. */
const METADATA_LOG =
  "The log of the cluster's metadata is damaged here. It is not repaired, but left to the next start: from the logs of other brokers, the cluster makes up for it.";

interface RepairOptions {
  readonly yes?: true;
  readonly discard?: true;
  readonly compacted?: true;
}

export function logRepairCommand(terminal: Terminal, done: (code: ExitCode) => void): Command {
  return new Command('repair')
    .description('drop what cannot be read any more from a damaged log, so that it can be opened')
    .argument('<path>', "a data directory, a broker's directory, or a partition's")
    .option('--yes', 'do it; without this it only shows what it would do')
    .option('--discard', 'do not keep what is dropped; otherwise it lies beside the file as NAME.dropped-1')
    .option(
      '--compacted',
      'offsets may be missing; what a data directory says of its topics is known without this',
    )
    .addHelpText(
      'after',
      '\nA torn end is cut off. Where sound batches lie behind the damage, they stay: a batch without records takes\n' +
        'the place of what is lost. Repair a replica only if no other one has what it lost: from those it is fetched.',
    )
    .action(async (path: string, options: RepairOptions) => {
      done(await repair(path, options, terminal));
    });
}

async function repair(path: string, options: RepairOptions, terminal: Terminal): Promise<ExitCode> {
  const { target, segment } = logsAt(path);
  if (segment !== undefined) {
    throw new CommandError(
      `${path} is one segment: repair its partition, ${join(target.root, target.partitions[0] ?? '')}.`,
    );
  }
  // A log that is being written looks torn, and must not change under its writer.
  const lock = target.dataDirectory === undefined ? undefined : lockOf(target.dataDirectory);
  try {
    return await repairAll(target, options, terminal);
  } finally {
    // What a dead lock tells the next start is not lost with it: whether the machine went down since.
    if (lock?.isTakenOver === true) lock.leave();
    else lock?.release();
  }
}

function lockOf(dataDirectory: string): DirectoryLock {
  try {
    return DirectoryLock.acquire(dataDirectory);
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw new CommandError(
      `The data directory ${dataDirectory} could not be locked, and nothing was changed: a repair needs the right to write there. ${cause.message}.`,
    );
  }
}

async function repairAll(
  target: LogDirectory,
  options: RepairOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const { image, problem } = await metadataOf(target);
  if (problem !== undefined) throw new CommandError(problem.sentence, ExitCode.FINDINGS);
  const disk = new FileDisk(target.root);
  const progress = new Progress(terminal);
  let open = 0;
  let done = 0;
  for (const directory of partitionsAt(target, image)) {
    const gapsAllowed = options.compacted === true || isCompacted(image, directory);
    const inspect = () =>
      inspectPartition(disk, directory, { gapsAllowed, progress: (bytes) => progress.add(bytes) });
    const partition = inspect();
    progress.clear();
    if (isMetadataLog(directory)) {
      if (partition.problems.length > 0) {
        terminal.out(`${join(target.root, directory)}: ${METADATA_LOG}\n`);
        open += 1;
      }
      continue;
    }
    const steps = planRepair(partition);
    for (const step of steps) terminal.out(`${stepText(target, step, options.yes === true)}\n`);
    if (!options.yes || steps.length === 0) {
      open += steps.length;
      continue;
    }
    const kept = await repairPartition(disk, partition, { keepDropped: !options.discard });
    for (const file of kept) terminal.out(`  What was dropped is kept in ${join(target.root, file)}.\n`);
    const left = planRepair(inspect());
    for (const step of left) terminal.out(`  Still wrong: ${stepText(target, step, false)}\n`);
    open += left.length;
    done += Math.max(0, steps.length - left.length);
  }
  terminal.out(closing(open, done, options.yes === true));
  return open === 0 ? ExitCode.FINE : ExitCode.FINDINGS;
}

function closing(open: number, done: number, isDone: boolean): string {
  if (open === 0 && done === 0) return 'There is nothing to repair.\n';
  if (!isDone) return `${counted(open, 'repair')} to be made. Nothing was changed; add --yes to do it.\n`;
  const rest = open === 0 ? '' : ` ${counted(open, 'problem')} could not be repaired.`;
  return `${counted(done, 'repair')} made.${rest}\n`;
}

const verbs: Readonly<Record<RepairStep['action'], readonly [string, string]>> = {
  cut: ['would cut off', 'cutting off'],
  bridge: [
    'would put a batch without records in the place of',
    'putting a batch without records in the place of',
  ],
  renumber: ['would correct the number in the header of', 'correcting the number in the header of'],
  rebuild: ['would make anew', 'making anew'],
  remove: ['would remove', 'removing'],
  found: ['would begin with an empty log', 'beginning with an empty log'],
  begin: ['would let the log begin at offset', 'letting the log begin at offset'],
  shorten: ['would let the log end there', 'letting the log end there'],
  impossible: ['cannot repair', 'cannot repair'],
};

function stepText({ root }: LogDirectory, step: RepairStep, isDone: boolean): string {
  const { action, position, fromOffset, toOffset } = step;
  const verb = verbs[action][isDone ? 1 : 0];
  const end = toOffset === -1 ? 'up to the end of what was there' : `to ${toOffset - 1}`;
  const lost = toOffset === fromOffset ? 'no records are lost' : `lost: offsets ${fromOffset} ${end}`;
  const at = ['found', 'begin', 'shorten', 'remove'].includes(action) ? '' : `, byte ${position}`;
  return `${join(root, step.file)}${at}: ${step.sentence} ${capital(`${verb}${objectOf(step)}`)}; ${lost}.`;
}

/** What a repair is done to. */
function objectOf({ action, bytes, toOffset }: RepairStep): string {
  switch (action) {
    case 'begin':
      return ` ${toOffset}`;
    case 'found':
    case 'shorten':
      return '';
    case 'rebuild':
    case 'remove':
      return ' this file';
    case 'renumber':
      return ' one batch';
    default:
      return ` ${counted(bytes, 'byte')}`;
  }
}

function capital(text: string): string {
  return text[0].toUpperCase() + text.slice(1);
}
