/**
 * Lets V8 count the memory of buffers together with its heap. By itself it marks all of the heap after every 64 MB of buffers, however soon those
 * die; a gateway that streams has so many in a tenth of a second. docs/discoveries/buffers-hurry-the-collector.md
 */
import { setFlagsFromString } from 'node:v8'

/** For commands, once, before they serve: a library leaves its process alone. */
export function countBuffersAsHeap(): void {
  setFlagsFromString('--external-memory-accounted-in-global-limit')
}
