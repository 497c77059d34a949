import { TidemarkError } from '../errors.ts';

/** What has been closed: a cluster for everybody, or one thread's connection to it. */
export type Closed = 'cluster' | 'client';

const REMEDIES: Record<Closed, string> = {
  cluster: 'The cluster is closed; start another one.',
  client: 'The client is closed; connect again.',
};

/** Of calls that come afterwards. */
export function closedError(what: Closed): TidemarkError {
  return new TidemarkError('CLOSED', REMEDIES[what]);
}

/** Of requests that were under way. */
export function cutOffError(what: Closed): TidemarkError {
  return new TidemarkError('CLOSED', `The ${what} was closed before the request was answered.`);
}

/** Of a change that a close has met: `cause` is what it has failed with for that. */
export function cutShortError(cause: unknown): TidemarkError {
  return new TidemarkError(
    'CLOSED',
    'The cluster was closed while this was under way, and it may be done in part. Where the directory is kept, the next start tells what there is.',
    { cause },
  );
}
