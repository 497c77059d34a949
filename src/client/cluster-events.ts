import type { AttachServer } from '../runtime/attach-channel.ts';
import type { ClusterListener, Coordinator } from '../runtime/coordinator.ts';
import type { TopicInfo } from '../runtime/topics.ts';
import type { BrokerEvent } from './connect.ts';
import type { TopicChange, TopicNotice } from './known-topics.ts';
import type { Session } from './session.ts';

/** What happens to brokers and topics, told to the session of this thread and to all that are attached from others. */
export function clusterEvents(
  coordinator: Coordinator,
  session: Session,
  client: number,
  server: AttachServer,
): ClusterListener {
  /** As they were told of last. */
  const told = new Map<string, TopicInfo>();
  const changeOf = (topic: TopicInfo): TopicChange => {
    const { partitions, ...rest } = topic;
    const before = told.get(topic.name)?.partitions ?? [];
    told.set(topic.name, topic);
    // What is written down of a partition is never altered, only replaced.
    return { ...rest, changed: partitions.filter((info, n) => info !== before[n]) };
  };
  const tell = (event: BrokerEvent): void => server.tell('broker', event);
  return {
    brokerEnded(broker, life, cause) {
      session.brokerEnded(broker, life, cause);
      tell({ what: 'ended', broker, life, message: cause.message });
    },
    brokerHangs(broker, life, cause) {
      session.brokerHangs(broker, life, cause);
      tell({ what: 'hangs', broker, life, message: cause.message });
    },
    brokerStarted(broker) {
      tell({ what: 'started', broker, life: 0, message: '' });
      // One that ends meanwhile tells of it, and of its next life.
      coordinator.attachments.link(client, broker).then(
        (endpoint) => session.brokerStarted(endpoint),
        () => undefined,
      );
    },
    linkCut(whose, broker, life, cause) {
      if (whose === client) session.brokerEnded(broker, life, cause);
      else tell({ what: 'cut', broker, life, message: cause.message, client: whose });
    },
    topicsChanged(changed, removed) {
      const version = coordinator.topicsVersion;
      const { offset } = coordinator.quorum;
      for (const name of removed) told.delete(name);
      const notice: TopicNotice = { version, offset, changed: changed.map(changeOf), removed };
      server.tell('topics', notice);
      session.topicsChanged();
    },
  };
}
