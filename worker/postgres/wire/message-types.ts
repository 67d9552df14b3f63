/** First bytes of the messages that a server sends (manual, 54.7 "Message Formats"). */
export const BACKEND = {
  authentication: 0x52, // R
  bindComplete: 0x32, // 2
  closeComplete: 0x33, // 3
  commandComplete: 0x43, // C
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyInResponse: 0x47, // G
  copyOutResponse: 0x48, // H
  copyBothResponse: 0x57, // W
  dataRow: 0x44, // D
  emptyQueryResponse: 0x49, // I
  errorResponse: 0x45, // E
  noData: 0x6e, // n
  noticeResponse: 0x4e, // N
  notificationResponse: 0x41, // A
  parameterStatus: 0x53, // S
  parseComplete: 0x31, // 1
  readyForQuery: 0x5a, // Z
  rowDescription: 0x54, // T
} as const;

/** First bytes of the messages that we send. */
export const FRONTEND = {
  bind: 0x42, // B
  close: 0x43, // C
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyFail: 0x66, // f
  execute: 0x45, // E
  parse: 0x50, // P
  query: 0x51, // Q
  sync: 0x53, // S
  terminate: 0x58, // X
} as const;

/** Type byte and length in front of every message. */
export const HEADER_BYTES = 5;
