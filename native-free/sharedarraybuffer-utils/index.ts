export { ASLEEP, AWAKE, forceRing, ringBell, Sleeper } from './bell.ts';
export { CHANNEL_LAYOUT, ChannelReader, ChannelWriter, channelBytes, clearChannel } from './channel.ts';
export { CorruptFrameError } from './frames.ts';
export type { FieldSpec, FieldType, Layout, LayoutOptions, PlacedField } from './layout.ts';
export { defineLayout, describe, LINE_BYTES } from './layout.ts';
export { loadPosition, POSITION_BYTES, POSITION_END, storePosition } from './position.ts';
export { REGION_ALIGNMENT } from './region.ts';
export { clearRing, RING_LAYOUT, RingReader, RingWriter, ringBytes } from './ring.ts';
