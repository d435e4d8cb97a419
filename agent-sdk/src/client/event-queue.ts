/**
 * A bounded queue of events between the stream and the code that iterates over them. When it is full the stream waits,
 * or, when it may not wait, the queue is given up and the iteration goes on by Watch from where it stands.
 */
import type { TaskEvent } from '../model/task-event.ts'

export interface EventQueue {
  /** Resolves when there is room for more, or when events are dropped from now on. */
  push(event: TaskEvent): Promise<void> | undefined
  /** The next event; 'end' after the last one; 'gone' when the queue was given up. @throws what the stream ended with */
  take(): Promise<TaskEvent | 'end' | 'gone'>
  /** No more events. */
  finish(error: Error | null): void
  /** From now on events are dropped, and the stream does not wait. */
  giveUp(): void
  /** True when the queue is full: the stream waits until an event is taken. */
  isFull(): boolean
}

const MAX_EVENTS = 256
const MAX_BYTES = 1024 * 1024

export function createEventQueue(mayWait: () => boolean): EventQueue {
  let events: TaskEvent[] = []
  let bytes = 0
  let ended: { readonly error: Error | null } | null = null
  let gone = false
  let wakeReader = () => {}
  let wakeWriter = () => {}

  const giveUp = () => {
    gone = true
    events = []
    wakeReader()
    wakeWriter()
  }
  return {
    push(event) {
      if (gone) return undefined
      events.push(event)
      bytes += sizeOf(event)
      wakeReader()
      if (events.length < MAX_EVENTS && bytes < MAX_BYTES) return undefined
      if (!mayWait()) {
        giveUp()
        return undefined
      }
      return new Promise((resolve) => {
        wakeWriter = resolve
      })
    },
    async take() {
      for (;;) {
        const event = events.shift()
        if (event !== undefined) {
          bytes -= sizeOf(event)
          if (events.length < MAX_EVENTS / 2 && bytes < MAX_BYTES) wakeWriter()
          return event
        }
        if (gone) return 'gone'
        if (ended?.error) throw ended.error
        if (ended !== null) return 'end'
        await new Promise<void>((resolve) => {
          wakeReader = resolve
        })
      }
    },
    finish(error) {
      ended = { error }
      wakeReader()
      wakeWriter()
    },
    giveUp,
    isFull: () => !gone && (events.length >= MAX_EVENTS || bytes >= MAX_BYTES),
  }
}

function sizeOf(event: TaskEvent): number {
  if (event.kind === 'artifact') return event.data.length + 256
  if (event.kind === 'message') return event.text.length * 2 + 256
  return 256
}
