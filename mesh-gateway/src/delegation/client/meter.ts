/** Bytes that a connection brought for its calls, since somebody last looked. */
export interface Meter {
  bytes: number
}

/** Heads of frame and TLS record around a message, with room to spare. */
export const AROUND_DATA_BYTES = 64
