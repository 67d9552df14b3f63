import { BrokerError } from "./errors.ts";

/** Section codes of an AMQP message (AMQP 1.0, part 3.2). */
export const sectionCode = {
  header: 0x70,
  deliveryAnnotations: 0x71,
  messageAnnotations: 0x72,
  properties: 0x73,
  applicationProperties: 0x74,
  data: 0x75,
  sequence: 0x76,
  value: 0x77,
  footer: 0x78,
} as const;

export interface Section {
  readonly code: number;
  /** The whole section, descriptor included. */
  readonly bytes: Buffer;
  /** The value's own bytes: what a data section carries. */
  readonly content: Buffer;
}

const described = 0x00;
const smallUlong = 0x53;
const ulong = 0x80;

/** Bytes of a value of fixed width, by the upper half of its type code (AMQP 1.0, part 1.2). */
const fixedWidths: Readonly<Record<number, number>> = { 0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16 };
/** Width of the length field of variable, compound and array types. */
const lengthWidths: Readonly<Record<number, number>> = { 0xa: 1, 0xb: 4, 0xc: 1, 0xd: 4, 0xe: 1, 0xf: 4 };

/**
 * Cuts an encoded message into its sections without decoding them.
 * @throws BrokerError `amqp:decode-error` when the bytes are not a sequence of sections.
 */
export function splitSections(message: Buffer): Section[] {
  const sections: Section[] = [];
  try {
    for (let offset = 0; offset < message.length;) {
      const { code, valueOffset } = readDescriptor(message, offset);
      const { contentOffset, end } = readExtent(message, valueOffset);
      sections.push({ code, bytes: message.subarray(offset, end), content: message.subarray(contentOffset, end) });
      offset = end;
    }
  } catch (error) {
    if (error instanceof RangeError) throw notAMessage();
    throw error;
  }
  return sections;
}

function readDescriptor(message: Buffer, offset: number): { code: number; valueOffset: number } {
  if (message[offset] !== described) throw notAMessage();
  const format = message[offset + 1];
  if (format === smallUlong) return { code: message.readUInt8(offset + 2), valueOffset: offset + 3 };
  if (format === ulong) return { code: Number(message.readBigUInt64BE(offset + 2)), valueOffset: offset + 10 };
  throw notAMessage();
}

function readExtent(message: Buffer, valueOffset: number): { contentOffset: number; end: number } {
  const category = message.readUInt8(valueOffset) >> 4;
  const afterType = valueOffset + 1;
  const lengthWidth = lengthWidths[category];
  const width = lengthWidth === undefined ? fixedWidths[category] : message.readUIntBE(afterType, lengthWidth);
  if (width === undefined) throw notAMessage();
  const contentOffset = afterType + (lengthWidth ?? 0);
  if (contentOffset + width > message.length) throw notAMessage();
  return { contentOffset, end: contentOffset + width };
}

function notAMessage(): BrokerError {
  return new BrokerError("amqp:decode-error", "The transfer is not an AMQP message.");
}
