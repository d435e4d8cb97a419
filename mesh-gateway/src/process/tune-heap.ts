/**
 * What V8 is told of the heap of a process that serves, where nearly everything dies with its call or its request.
 * docs/discoveries/buffers-hurry-the-collector.md, docs/discoveries/born-old-they-keep-the-young.md
 */
import { setFlagsFromString } from 'node:v8'

/** For commands, once, before they serve and before their code has run often: a library leaves its process alone. */
export function tuneHeap(): void {
  // by itself V8 marks all of the heap after every 64 MB of buffers, however soon those die: a tenth of a second of streaming
  setFlagsFromString('--external-memory-accounted-in-global-limit')
  // what outlived a burst at the start would be born in the old generation ever after, and keep what it refers to
  setFlagsFromString('--no-allocation-site-pretenuring')
}
