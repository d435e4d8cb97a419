/** TCP keep-alive of connections that may be silent for long. */

/** After so much silence the kernel asks whether the other side is still there: an answer may take as long as a model thinks. */
export const KEEP_ALIVE_MS = 60_000
