// `npm run sim -- --wide`: a partition with a replica on each of a hundred brokers, and what it costs to play that.
import { runWide } from './cluster/wide.ts';

export async function showWide(
  brokers: number,
  seconds: number,
  print: (line: string) => void,
): Promise<number> {
  const result = await runWide(brokers, seconds);
  const { simulatedMs, wallMs, events, messages, passes, records, violation } = result;
  const { behindRecords, behindMs, commitMs, inSync, failoverMs, returnMs } = result;
  const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
  print(`${brokers} brokers, one partition with a leader and ${result.followers} followers`);
  print(
    `  played     ${(simulatedMs / 1_000).toFixed(1)} simulated s in ${(wallMs / 1_000).toFixed(1)} s: ${(wallMs / simulatedMs).toFixed(1)} s for each; ${events} events, ${passes} passes, ${messages} messages`,
  );
  print(
    `  committed  ${records} records, p50 ${ms(commitMs.p50)} and at most ${ms(commitMs.max)} after their append`,
  );
  print(
    `  followers  behind by p50 ${behindRecords.p50} and at most ${behindRecords.max} records; a batch takes p50 ${ms(behindMs.p50)}, at most ${ms(behindMs.max)} to their logs`,
  );
  print(
    `  failover   ${ms(failoverMs)} from the leader's death to the next commit; ${ms(returnMs)} from its restart until it is in sync`,
  );
  print(
    `  in sync    ${inSync[0]}, ${inSync[1]} without the leader that was killed, ${inSync[2]} at the end`,
  );
  print(
    violation === undefined
      ? '  verified   all replicas are the same, byte for byte, and no invariant is violated'
      : `  VIOLATED   ${violation}`,
  );
  return violation === undefined ? 0 : 1;
}
