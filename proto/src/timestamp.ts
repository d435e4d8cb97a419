/** google.protobuf.Timestamp and Date. */
export interface Timestamp {
  readonly seconds: number
  readonly nanos: number
}

export function toTimestamp(date: Date): Timestamp {
  const ms = date.getTime()
  const seconds = Math.floor(ms / 1000)
  return { seconds, nanos: (ms - seconds * 1000) * 1e6 }
}

/** Null for an unset field; sub-millisecond digits are dropped. */
export function fromTimestamp(timestamp: Timestamp | null | undefined): Date | null {
  if (timestamp === null || timestamp === undefined) return null
  return new Date(timestamp.seconds * 1000 + Math.floor(timestamp.nanos / 1e6))
}
