/**
 * Flow-control windows of the gateway towards callers and peers (RFC 9113, section 5.2). A path carries one window per
 * round trip. Data for a slow reader fills one window at most; carry/backlog.ts bounds the sum per connection and in
 * all.
 */

/** The window of one stream: 40 MB a second over 100 ms of round trip. */
export const WINDOW_BYTES = 4 * 1024 * 1024
/** The window of all streams of one connection together. */
export const CONNECTION_WINDOW_BYTES = 4 * WINDOW_BYTES
