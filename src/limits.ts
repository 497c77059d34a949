// Every bound of the product, unit last in the name, the reason above, relations between them asserted.

const KIB = 1024;
const MIB = 1024 * KIB;

/** A partition table chunk: 1,024 slots of a cache line each are 64 KiB, so small clusters stay small. */
export const PARTITIONS_PER_CHUNK = 1024;

/** P1 asks for clusters of up to 100 brokers; the progress row of a broker has one line for each. */
export const BROKERS_MAX = 128;

/** Each broker is a thread. The ids of brokers that come and go stay below BROKERS_MAX, and 0 is none. */
export const BROKERS_A_PROCESS_MAX = 100;

/** Dense partition ids index arrays in every broker; ten thousand topics of a few partitions fit. */
export const PARTITIONS_MAX = 1 << 20;

/** One creation is one entry of the metadata log, and stays within a few megabytes. */
export const PARTITIONS_A_TOPIC_MAX = 10_000;

/** Ids of idempotent producers go to brokers in blocks, so that hardly any producer waits for the metadata log. */
export const PRODUCER_ID_BLOCK = 1_000;

/**
 * Batches of one partition that a producer has under way at a time, and of each producer that a partition knows when they
 * come again: Kafka's five, which its clients keep to, made brokers and producers wait for each other.
 */
export const BATCHES_IN_FLIGHT_MAX = 20;

/**
 * Idempotent producers that a partition remembers, some kilobytes each. Of more those go first that have written least
 * lately: one that comes back is told that nobody knows it.
 */
export const PRODUCERS_A_PARTITION_MAX = 10_000;

/**
 * A partition remembers idempotent producers at least as long as any of them sends a batch again: one that is forgotten
 * could write what it has written already.
 */
export const PRODUCER_EXPIRATION_MIN_MS = 3_600_000;
export const IDEMPOTENT_DELIVERY_MAX_MS = PRODUCER_EXPIRATION_MIN_MS;

/** What one broker keeps of its own appends for its followers; a follower further behind reads the log. */
export const TAIL_RING_BYTES = 8 * MIB;

/**
 * A leader this far ahead of a follower takes no more requests: followers stay within reach of its ring, and what they
 * read is still in a cache (with half a ring instead, acks=all took a fifth more processor time a record). With less,
 * replicas that write files stand still for each other.
 */
export const AHEAD_MAX_BYTES = 2 * MIB;

/** For how long a leader waits for a follower that does not move, before it goes on without it. */
export const THROTTLE_MAX_MS = 500;

/** Requests of one client to one broker. Small enough to stay in a core's cache together with the ring's head. */
export const REQUEST_CHANNEL_BYTES = 4 * MIB;

/** Answers of one broker to one client: read data comes this way too. */
export const RESPONSE_CHANNEL_BYTES = 4 * MIB;

/** Kafka's default for max.message.bytes, the size of a whole batch. */
export const MESSAGE_DEFAULT_BYTES = MIB + 12;

/** A batch travels as one frame: a channel takes frames of up to half its size, a ring of up to a quarter. */
export const MESSAGE_MAX_BYTES = 2 * MIB - 4 * KIB;

/** One answer to a read; it has to leave room in the response channel for acknowledgements. */
export const READ_MAX_BYTES = MESSAGE_MAX_BYTES;

/**
 * What one pass of a broker takes from one source before it looks at the next, and before a follower writes it and tells
 * its leader: fairness and latency. A report for each 64 KiB took a seventh more processor time of acks=all.
 */
export const PASS_BYTES = 512 * KIB;

/**
 * What the smallest batch counts for in a pass: each may be the first of its log, whose files take milliseconds to make,
 * and a thread that makes a thousand of them at once gives no sign of life meanwhile.
 */
export const PASS_BATCH_BYTES = 8 * KIB;

/** A bell is rung for this much that was published, or at the end of a turn or pass: a ring costs both sides. */
export const RING_EVERY_BYTES = 256 * KIB;

/**
 * How long a broker that has run out of work blocks before it goes back to its event loop. A blocked thread wakes at
 * half the cost; ports and timers of a busy broker wait this long at most.
 */
export const HOT_WAIT_MS = 1;

/** A busy broker lets its event loop turn this often, for ports and timers. */
export const YIELD_EVERY_MS = 2;

/** The same while a sync is under way, whose end the event loop hears of and producers wait for. */
export const YIELD_SYNCING_MS = 0.25;

/** Syncs of one broker that run at a time: as many as Node's pool has threads. */
export const SYNCS_MAX = 4;

/** One answer of a leader to a follower that reads the log, over all partitions; bounds a copy in flight. */
export const CATCH_UP_BYTES = 4 * MIB;

/** A log that has staged so much writes it at once, while it is still in a cache; less waits for the turn's end. */
export const WRITE_AT_ONCE_BYTES = 512 * KIB;

/** The smallest segment.bytes: below it a log would do little else than begin segments. */
export const SEGMENT_MIN_BYTES = 16 * KIB;

/** Producer defaults: a batch that amortises a wake-up and stays within a core's first caches. */
export const BATCH_DEFAULT_BYTES = 128 * KIB;
export const PRODUCER_BUFFER_DEFAULT_BYTES = 32 * MIB;

/** Sends that wait for room hold references to the caller's data: the line is bounded too. */
export const PRODUCER_WAITING_RECORDS_MAX = 100_000;

/** A batch that is not acknowledged in this time, however often it was sent, fails; Kafka's delivery.timeout.ms. */
export const DELIVERY_TIMEOUT_DEFAULT_MS = 120_000;

/** How long a leader waits for a batch to be committed before it says so; Kafka's request.timeout.ms. */
export const REQUEST_TIMEOUT_DEFAULT_MS = 30_000;

/** So much longer a client waits for that answer before it asks again. */
export const REQUEST_GRACE_MS = 1_000;

/** How long a send may wait for room in the producer's buffer; Kafka's max.block.ms. */
export const MAX_BLOCK_DEFAULT_MS = 60_000;

/**
 * How long a change of names waits for others before a directory is synced for it, where nobody waits: such a sync may
 * take everything along that was written to the files since.
 */
export const SETTLE_NAMES_MS = 50;

/**
 * Files that the logs of one broker keep open: a thousand partitions that are written to have theirs, and those that they
 * take next. Where a process may open fewer than all brokers want by that, they get a share of them.
 */
export const OPEN_FILES_MAX = 2_500;

/** How often a broker looks after its logs and writes down how far they are; Kafka's interval for its HWM. */
export const CHECKPOINT_EVERY_MS = 5_000;

/**
 * Sealed segments are stored with their indexes once they have so many bytes, or as many as so many full ones have, or there
 * are so many of them. For less the next start looks through the log again, which takes milliseconds, where three files have
 * to be made for each segment otherwise: what keeps little has dropped it by then, and thousands of such logs would only make
 * files.
 */
export const STORED_FROM_BYTES = 16 * MIB;
export const STORED_FROM_FULL = 3;
export const STORED_FROM_SEGMENTS = 8;

/**
 * Up to so much of a log its broker scans by itself after an unclean end, which takes some tens of milliseconds; more
 * goes to the pool, whose first thread takes as long to start.
 */
export const SCAN_HERE_MAX_BYTES = 32 * MIB;

/** How often a broker looks for logs to compact and segments to check again; Kafka's cleaner rests for 15 seconds. */
export const CARE_EVERY_MS = 10_000;

/** What a compaction reads at most, so that it takes little from a device or a core: a tenth of what it could. */
export const COMPACTION_BYTES_PER_SECOND = 64 * MIB;

/** Keys of one run of compaction, about a million short ones; where a log has more, it takes more runs. */
export const COMPACTION_MAP_BYTES = 32 * MIB;

/** A sealed segment is checked again once a day at most: at this rate a broker gets through 1.3 terabytes. */
export const SCRUB_INTERVAL_MS = 24 * 60 * 60 * 1000;
export const SCRUB_BYTES_PER_SECOND = 16 * MIB;

/** How often a broker gives a sign of life: a wake-up of some tens of microseconds. */
export const HEARTBEAT_EVERY_MS = 200;

/** How often a leader looks for requests that have waited too long, and for followers that do not keep up. */
export const LOOK_EVERY_MS = 200;

/**
 * A broker without a sign of life for this long is fenced. Kafka waits nine seconds, for machines that do not answer over
 * a network; in a process nothing gets lost on the way, and what is longer than a full collection or a busy machine takes
 * is a hang. Fifteen signs may be missed.
 */
export const BROKER_SESSION_MS = 3_000;

/** What a disk that was made slow takes for each call: a device of the turning kind that is busy with others. */
export const SLOW_DISK_MS = 20;

/** How long a broker thread may take to bring its logs to the device at the end. */
export const BROKER_STORE_TIMEOUT_MS = 60_000;

/** How long a broker thread may take to come up or to end before the cluster gives up on it. */
export const BROKER_START_TIMEOUT_MS = 15_000;
export const BROKER_STOP_TIMEOUT_MS = 5_000;

/** How long a broker that stops waits for others to be able to lead what it leads. */
export const SHUT_DOWN_LIMIT_MS = 2_000;

/** A control request (create topic, attach a client) to a broker thread. */
export const CONTROL_TIMEOUT_MS = 30_000;

/** How long whoever changes topics waits for it; Kafka's request.timeout.ms. */
export const ADMIN_TIMEOUT_DEFAULT_MS = 30_000;

function assertLimits(): void {
  const relations: [boolean, string][] = [
    [IDEMPOTENT_DELIVERY_MAX_MS <= PRODUCER_EXPIRATION_MIN_MS, 'a producer is remembered while it tries'],
    [Number.isInteger(Math.log2(PARTITIONS_PER_CHUNK)), 'a mask finds a partition in its chunk'],
    [BROKERS_A_PROCESS_MAX < BROKERS_MAX, 'every broker of a process has a line in a progress row'],
    [MESSAGE_MAX_BYTES * 2 <= REQUEST_CHANNEL_BYTES, 'two of the largest batches fit a request channel'],
    [READ_MAX_BYTES * 2 <= RESPONSE_CHANNEL_BYTES, 'two of the largest answers fit a response channel'],
    [
      MESSAGE_MAX_BYTES * 4 <= TAIL_RING_BYTES,
      'the largest batch is within what a tail ring takes, a quarter of it',
    ],
    [
      2 * AHEAD_MAX_BYTES + MESSAGE_MAX_BYTES <= TAIL_RING_BYTES,
      'a leader that waits is far from lapping anybody',
    ],
    [MESSAGE_DEFAULT_BYTES <= MESSAGE_MAX_BYTES, 'the default message bound is within the largest'],
    [BATCH_DEFAULT_BYTES <= MESSAGE_DEFAULT_BYTES, "a producer's batch is a message a topic takes"],
    [5 * HEARTBEAT_EVERY_MS <= BROKER_SESSION_MS, 'some late signs of life fence nobody'],
    [MESSAGE_MAX_BYTES <= CATCH_UP_BYTES, 'a follower can catch up by at least one batch an answer'],
  ];
  for (const [holds, sentence] of relations) {
    if (!holds) throw new Error(`limits: ${sentence}`);
  }
}
assertLimits();
