/**
 * Loaded before all tests (.mocharc.json): a file of tests ends with the connections and servers that it began with, or fails.
 * Without this nobody notices: in parallel, mocha ends its processes whatever is open in them.
 */
import { leftOpen, openResources } from './closes-everything.ts'

const WATCHED: ReadonlySet<string> = new Set([
  ...['TCPSocketWrap', 'TCPServerWrap', 'TLSWrap', 'UDPWrap'],
])

export interface FileHooks {
  beforeAll(): void
  /** @throws Error that names what is still open */
  afterAll(): Promise<void>
}

/** @param settleMs how long what was closed may take to be gone, in milliseconds */
export function watchFile(settleMs: number): FileHooks {
  let atFirst: ReadonlyMap<string, number> = new Map()
  return {
    beforeAll() {
      atFirst = openResources(WATCHED)
    },
    async afterAll() {
      const left = await leftOpen(atFirst, settleMs, WATCHED)
      if (left.length > 0) throw new Error(`left open at the end of the file: ${left.join(', ')}`)
    },
  }
}

/** In a process of a parallel run these are called for each file, in a run of its own once. Only a leak takes the time. */
export const mochaHooks: FileHooks = watchFile(10_000)
