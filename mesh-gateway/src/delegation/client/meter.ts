/** Counts the bytes that a connection has carried for its calls since the last reading. */
export interface Meter {
  bytes: number
}

/** The frame and TLS record headers around a message, with a margin. */
export const AROUND_DATA_BYTES = 64
