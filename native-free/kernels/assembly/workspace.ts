/*
 * The workspace is the only memory the kernels write besides the outputs they are given. Every instance has its
 * own, at an address its host hands in with each call, so that many threads can run over one memory and the module
 * itself needs no data. The fold and the match table share a place: neither outlives its call.
 *
 *   0          16,384         36,144      39,488     40,336     40,560    40,960
 *   +----------+--------------+-----------+----------+----------+---------+
 *   | 16 CRC   | fold, or the | tail of   | tail of  | tail of  | not     |
 *   | tables   | match table  | 16 B fold | 4 B fold | 1 B fold | used    |
 *   +----------+--------------+-----------+----------+----------+---------+
 */

export const WORKSPACE_BYTES: usize = 40960;

/** Sixteen tables of 256 words, written once by prepare(). */
export const CRC_TABLES: usize = 0;

/** History of one fold and a block after it, with 16 bytes of zeros on either side of what a fold completes. */
export const FOLD: usize = 16400;

export const TAIL_OF_16: usize = 36144;
export const TAIL_OF_4: usize = 39488;
export const TAIL_OF_1: usize = 40336;

/** 16 KiB of positions, cleared by each compression. */
export const MATCH_TABLE: usize = 16400;
