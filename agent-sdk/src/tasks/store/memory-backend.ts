/** Events and beginnings in memory. */
import type { Beginning, Checkpoint, StoredEvent } from '../../model/task-store.ts'
import type { Backend } from './backend.ts'

interface Entry {
  readonly events: StoredEvent[]
  beginning: Beginning | null
  checkpoint: Checkpoint
}

const NOTHING_SAVED: Checkpoint = Object.freeze({ saved: null, asked: 0, runs: 0 })

export function createMemoryBackend(): Backend {
  const entries = new Map<number, Entry>()
  return {
    found: [],
    lastNumber: 0,
    add(record, beginning) {
      entries.set(record.number, { events: [], beginning, checkpoint: NOTHING_SAVED })
    },
    append(record, event) {
      const entry = entries.get(record.number)
      if (entry === undefined) return
      entry.events.push(event)
      if (record.endedMs === null) return
      entry.beginning = null
      entry.checkpoint = NOTHING_SAVED
    },
    eventAfter: (number, seq) => entries.get(number)?.events[seq] ?? null,
    save(number, checkpoint) {
      const entry = entries.get(number)
      if (entry !== undefined) entry.checkpoint = checkpoint
    },
    again(number) {
      const entry = entries.get(number)
      if (entry === undefined || entry.beginning === null) return null
      return { beginning: entry.beginning, checkpoint: entry.checkpoint }
    },
    remove: (number) => void entries.delete(number),
    flush() {},
    failed: () => false,
    close: () => entries.clear(),
  }
}
