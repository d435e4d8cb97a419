/**
 * Flow-control windows of the gateway towards callers and peers (RFC 9113, section 5.2). A path carries one window in each round trip. What
 * waits for a slow reader fills a window and no more; guard/backlog.ts bounds that for each connection and in all.
 */

/** Of one stream: 40 MB a second over 100 ms of round trip. */
export const WINDOW_BYTES = 4 * 1024 * 1024
/** Of all streams of one connection together. */
export const CONNECTION_WINDOW_BYTES = 4 * WINDOW_BYTES
