/** Where a command writes to. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Whether somebody is watching: progress is for people. */
  readonly showsProgress: boolean;
}

/** A command's answer to the shell. */
export const ExitCode = {
  FINE: 0,
  /** Something is wrong with the files that were looked at. */
  FINDINGS: 1,
  /** The command was not understood, or what it names is not there. */
  USAGE: 2,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Ends a command with a sentence on stderr. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: ExitCode;

  constructor(sentence: string, exitCode: ExitCode = ExitCode.USAGE) {
    super(sentence);
    this.exitCode = exitCode;
  }
}

/** Whoever read the output has seen enough: `tidemark log dump FILE | head`. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

/** What the operating system refuses, where nobody has put it into a sentence of ours. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}
