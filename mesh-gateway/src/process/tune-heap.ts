/**
 * V8 heap settings for a serving process, where nearly everything dies with its call or its request.
 * docs/discoveries/buffers-hurry-the-collector.md, docs/discoveries/born-old-they-keep-the-young.md
 */
import { setFlagsFromString } from 'node:v8'

/** For commands, once, before they serve and before their code has run often: a library must not change its process. */
export function tuneHeap(): void {
  // by default V8 marks the whole heap after every 64 MB of buffers, however short-lived: a tenth of a second of
  // streaming
  setFlagsFromString('--external-memory-accounted-in-global-limit')
  // otherwise, objects that outlived a burst at the start make later ones be allocated in the old generation, with all
  // that they refer to
  setFlagsFromString('--no-allocation-site-pretenuring')
}
