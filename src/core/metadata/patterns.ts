// What ids and texts must look like, whoever gives them: a command, or a log that was read from a disk.

export const CLUSTER_ID = /^[\w-]{1,64}$/;
/** 16 bytes as base64url. */
export const UUID = /^[\w-]{22}$/;
export const RACK = /^\P{Cc}{1,255}$/u;
export const BROKER_ID_MAX = 2 ** 31 - 1;
