// The public face: everything a user of the package can rely on.

export type {
  Admin,
  AlterTopicConfigOptions,
  ChangeTopicOptions,
  CreateTopicOptions,
  ElectLeadersOptions,
  ReassignOptions,
  TopicConfigDescription,
} from './client/admin.ts';
export { Cluster, type ClusterOptions, type InspectOptions } from './client/cluster.ts';
export { type Client, type ConnectOptions, connect } from './client/connect.ts';
export type { Faults } from './client/faults.ts';
export type { Producer, ProducerOptions } from './client/producer.ts';
export type { AddBrokerOptions, Racks } from './client/rack-check.ts';
export type { ReadOptions, ReadRecord, ReadResult } from './client/read.ts';
export type { PartitionName, PartitionReplicas, RemoveBrokerOptions } from './client/replica-check.ts';
export type { ClusterStatus, PartitionStatus, TopicStatus } from './client/status.ts';
export type { TopicConfigInput } from './config.ts';
export { type ErrorCode, TidemarkError } from './errors.ts';
export type { DecodedHeader } from './log/record-batch-reader.ts';
export type { ClusterHandle } from './runtime/attach-channel.ts';
export type {
  Acks,
  BrokerMetrics,
  BrokerState,
  DiskFault,
  Durability,
  ElectionResult,
  FollowerLag,
  HeadersInput,
  HeaderValueInput,
  Reassignment,
  RecordInput,
  RecordPlace,
  RecoveryProgress,
  RecoveryReport,
  ReplicaBytes,
  ReplicaProgress,
} from './types.ts';
