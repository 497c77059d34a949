import { randomBytes } from 'node:crypto';

/** As Kafka writes its ids: 16 random bytes in 22 characters of base64url, and never a leading dash. */
export function newUuid(): string {
  for (;;) {
    const bytes = randomBytes(16);
    // Version and variant as RFC 9562 has them for random ids.
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const text = bytes.toString('base64url');
    if (!text.startsWith('-')) return text;
  }
}
