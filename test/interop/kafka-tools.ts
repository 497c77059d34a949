// Kafka's own command line tools, from its jars: fetched once, and kept below the system's temporary directory.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ProgramEnd, runProgram } from './programs.ts';

const KAFKA = '3.9.1';
const SCALA = '2.13';
/** What Kafka's libraries log goes nowhere: it would stand between the tool's own lines. */
const SILENT_LOGGER = '1.7.36';
const FETCH_LIMIT_MS = 240_000;
const TOOL_LIMIT_MS = 60_000;

const PROJECT = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tidemark</groupId>
  <artifactId>interop</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_${SCALA}</artifactId>
      <version>${KAFKA}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-nop</artifactId>
      <version>${SILENT_LOGGER}</version>
    </dependency>
  </dependencies>
</project>
`;

export class KafkaTools {
  readonly #jars: string;

  constructor(jars: string) {
    this.#jars = jars;
  }

  /** Runs kafka.tools.DumpLogSegments. */
  dumpLogSegments(files: readonly string[], ...options: readonly string[]): Promise<ProgramEnd> {
    const classes = ['-cp', join(this.#jars, '*'), 'kafka.tools.DumpLogSegments'];
    return runProgram(
      'java',
      ['-Xmx256m', ...classes, '--files', files.join(','), ...options],
      TOOL_LIMIT_MS,
    );
  }
}

/** The tools, or why this machine has none. */
export async function findKafkaTools(print: (line: string) => void): Promise<KafkaTools | string> {
  if (!(await isThere('java', '-version'))) return 'java is missing';
  const cache = join(tmpdir(), `tidemark-interop-kafka-${KAFKA}`);
  const jars = join(cache, 'jars');
  if (!existsSync(jars)) {
    if (!(await isThere('mvn', '--version'))) return 'mvn is missing, which fetches the jars of Kafka';
    print(`fetching org.apache.kafka:kafka_${SCALA}:${KAFKA} into ${jars}`);
    const refusal = await fetchJars(cache, jars);
    if (refusal !== undefined) return `mvn could not fetch the jars of Kafka: ${refusal}`;
  }
  return new KafkaTools(jars);
}

async function isThere(program: string, ask: string): Promise<boolean> {
  try {
    return (await runProgram(program, [ask], TOOL_LIMIT_MS)).code === 0;
  } catch {
    return false;
  }
}

/** Under the final name only once all are there: a run that is interrupted leaves nothing that looks whole. */
async function fetchJars(cache: string, jars: string): Promise<string | undefined> {
  const part = join(cache, `part-${process.pid}`);
  mkdirSync(part, { recursive: true });
  try {
    writeFileSync(join(part, 'pom.xml'), PROJECT);
    const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${join(part, 'jars')}`];
    const { code, output } = await runProgram(
      'mvn',
      ['-q', '-B', '-Dstyle.color=never', ...copy],
      FETCH_LIMIT_MS,
      part,
    );
    if (code !== 0) return output.split('\n').find((line) => line.includes('ERROR')) ?? `exit code ${code}`;
    if (!existsSync(jars)) renameSync(join(part, 'jars'), jars);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    rmSync(part, { recursive: true, force: true });
  }
}
