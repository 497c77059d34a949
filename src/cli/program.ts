import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { TidemarkError } from '../errors.ts';
import { DiskError } from '../log/disk.ts';
import { CommandError, ExitCode, isSystemError, OutputClosed, type Terminal } from './command-line.ts';
import { logDumpCommand } from './log-dump.ts';
import { logRepairCommand } from './log-repair.ts';
import { logVerifyCommand } from './log-verify.ts';
import { topicPropertiesCommand } from './topic-properties.ts';

/** Runs one command; resolves to the process's exit code. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let exitCode: ExitCode = ExitCode.FINE;
  const done = (code: ExitCode): void => {
    exitCode = code;
  };
  try {
    await program(terminal, done).parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof OutputClosed) return ExitCode.FINE;
    // Commander has written its sentence already; help that was asked for is no mistake.
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.FINE : ExitCode.USAGE;
    if (error instanceof CommandError) {
      terminal.err(`tidemark: ${error.message}\n`);
      return error.exitCode;
    }
    if (error instanceof DiskError || error instanceof TidemarkError) {
      terminal.err(`tidemark: ${error.message}\n`);
      return ExitCode.USAGE;
    }
    if (isSystemError(error)) {
      terminal.err(`tidemark: ${error.message}.\n`);
      return ExitCode.USAGE;
    }
    throw error;
  }
}

function program(terminal: Terminal, done: (code: ExitCode) => void): Command {
  const root = new Command('tidemark')
    .description('A replicated log for Node.js: commands for the files that it keeps.')
    .version(version(), '-V, --version', 'print the version')
    .exitOverride()
    .showHelpAfterError('(add --help for what the command takes)')
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
    });
  const log = root
    .command('log')
    .description('look at the files of a log, check them, and repair them')
    .copyInheritedSettings(root);
  for (const command of [logDumpCommand, logVerifyCommand, logRepairCommand]) {
    log.addCommand(command(terminal, done).copyInheritedSettings(root));
  }
  root.addCommand(topicPropertiesCommand(terminal).copyInheritedSettings(root));
  return root;
}

function version(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
