/**
 * Asks the disk without ever waiting for it for long. A question to a mount that hangs keeps its thread of libuv until the mount
 * answers: nothing can take it back. So one directory has one question open at a time, all directories together have a few,
 * and while one is overdue its directory is not asked again, but for once after a minute: another mount may be there by then.
 */
import { dirname } from 'node:path'
import { FileFault } from './file-fault.ts'

export interface DiskOptions {
  /** How long one question may take, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number
  /** After this time a directory is asked again though a question is overdue, once, in milliseconds. Default 60,000. */
  readonly againMs?: number
  /** How many questions may be open at once, and so how many threads may hang. Default 2, half of those that Node has. */
  readonly width?: number
}

export interface Disk {
  /**
   * Runs one question about a path when it is its turn. `work` must not call `run` of the same disk.
   * @throws FileFault NO_ANSWER when the time is over, or at once while the directory, or every turn, is overdue
   */
  run<T>(path: string, work: () => Promise<T>): Promise<T>
  /** Paths that the disk has not answered within the time limit. */
  hanging(): readonly string[]
}

interface Question {
  readonly path: string
  readonly place: string
  /** Begins the work; never rejects. Resolves when the thread is free again. */
  begin(): Promise<void>
  refuse(fault: FileFault): void
}

interface Open {
  readonly path: string
  readonly place: string
  /** `overdue` while its directory waits for it, `given up` when only its thread does. */
  state: 'open' | 'overdue' | 'given up'
}

/** Of one directory, given up or not. */
const MAX_OF_ONE = 2

export function createDisk(options: DiskOptions = {}): Disk {
  const { timeoutMs = 5_000, againMs = 60_000, width = 2 } = options
  const open = new Set<Open>()
  const waiting: Question[] = []

  const overdue = () => [...open].filter(({ state }) => state !== 'open')
  const of = (place: string) => [...open].filter((one) => one.place === place)
  const hopeless = (place: string) =>
    overdue().length >= width ||
    of(place).some(({ state }) => state === 'overdue') ||
    of(place).filter(({ state }) => state === 'given up').length >= MAX_OF_ONE
  const free = (place: string) =>
    open.size < width && of(place).every(({ state }) => state === 'given up')

  function next(): void {
    for (let at = 0; at < waiting.length; ) {
      const question = waiting[at]
      if (question === undefined) return
      if (hopeless(question.place)) {
        waiting.splice(at, 1)
        question.refuse(noAnswer(timeoutMs))
      } else if (free(question.place)) {
        waiting.splice(at, 1)
        start(question)
      } else at += 1
    }
  }

  function start(question: Question): void {
    const entry: Open = { path: question.path, place: question.place, state: 'open' }
    open.add(entry)
    // the question itself keeps the process as long as it is open
    let timer = setTimeout(() => {
      entry.state = 'overdue'
      timer = setTimeout(() => {
        entry.state = 'given up'
      }, againMs).unref()
      question.refuse(noAnswer(timeoutMs))
      next()
    }, timeoutMs).unref()
    void question.begin().then(() => {
      clearTimeout(timer)
      open.delete(entry)
      next()
    })
  }

  return {
    run(path, work) {
      return new Promise((resolve, reject) => {
        const begin = () => Promise.try(work).then(resolve, reject)
        waiting.push({ path, place: dirname(path), begin, refuse: reject })
        next()
      })
    },
    hanging: () => overdue().map(({ path }) => path),
  }
}

function noAnswer(timeoutMs: number): FileFault {
  return new FileFault('NO_ANSWER', `the disk did not answer within ${timeoutMs / 1000} s`)
}
