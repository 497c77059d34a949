/** Why a codec refused its input. */
export type CodecErrorCode = 'CORRUPT' | 'TOO_LARGE' | 'TRUNCATED';

/** What every codec throws for input that it cannot decode; `code` is stable, the message is a sentence. */
export class CodecError extends Error {
  readonly code: CodecErrorCode;

  constructor(code: CodecErrorCode, message: string) {
    super(message);
    this.name = 'CodecError';
    this.code = code;
  }
}
