/**
 * Parses policy files one after the other. A small file takes one turn of the event loop. Any other file is parsed in a
 * thread, with a timeout: a thread that takes too long, or dies, is ended, its file counts as broken, and the next file
 * gets a new thread.
 */
import { extname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { PieceReader } from './document-pieces.ts'
import type { FromParser, ToParser } from './parser-messages.ts'
import {
  type BrokenFile,
  broken,
  type FileReading,
  GLOBAL_FILE,
  readPolicyFile,
} from './read-file.ts'
import type { GlobalDocument, TenantDocument } from './schema.ts'

export interface DocumentParserOptions {
  /** Timeout of one file, once the thread has started, in milliseconds. Default 10,000. */
  readonly fileMs?: number
  /** How long an idle thread is kept, in milliseconds. Default 5,000. */
  readonly idleMs?: number
  /**
   * Files up to this size are parsed without the thread, in bytes: most are as small, and a thread takes 15 MB and some
   * time to start. Default 8,192, which take 10 ms at worst.
   */
  readonly smallBytes?: number
  /** Heap of the thread, in MiB. Default 512: with a heap too small to start, V8 ends the whole process. */
  readonly maxHeapMiB?: number
}

export interface DocumentParser {
  /** Never rejects: every failure is a fault of the file. One file at a time. */
  parse(name: string, bytes: Uint8Array): Promise<ParsedFile>
  close(): Promise<void>
}

/** How long a thread may take to start, in milliseconds. */
const START_MS = 60_000

/** `late`: the content is unknown, and it may be tried again. */
export type ParsedFile = FileReading | (BrokenFile & { readonly late: true })

export function createDocumentParser(options: DocumentParserOptions = {}): DocumentParser {
  const { fileMs = 10_000, idleMs = 5_000, maxHeapMiB = 512, smallBytes = 8_192 } = options
  let worker: Worker | null = null
  const greeted = new WeakSet<Worker>()
  let idle: NodeJS.Timeout | undefined

  function start(): Worker {
    const file = join(import.meta.dirname, `parse-worker${extname(import.meta.filename)}`)
    const resourceLimits = { maxOldGenerationSizeMb: maxHeapMiB, stackSizeMb: 4 }
    const started = new Worker(file, { resourceLimits, stdin: false })
    // a pending request listens too; an `error` event without a listener would end the process
    started.on('error', () => drop(started))
    started.on('exit', () => drop(started))
    return started
  }

  function drop(gone: Worker): void {
    if (worker === gone) worker = null
  }

  async function end(): Promise<void> {
    clearTimeout(idle)
    const ended = worker
    worker = null
    await ended?.terminate()
  }

  return {
    async parse(name, bytes) {
      if (bytes.length <= smallBytes) {
        // gives other work a turn between two files
        await new Promise((turn) => setImmediate(turn))
        return readPolicyFile(name, bytes)
      }
      clearTimeout(idle)
      worker ??= start()
      const asked = worker
      asked.ref()
      const answer = await ask(asked, name, bytes, greeted.has(asked) ? fileMs : null, fileMs)
      greeted.add(asked)
      if (typeof answer === 'string') {
        await end()
        return { ...broken(name, answer), late: true }
      }
      asked.unref()
      idle = setTimeout(() => void end(), idleMs).unref()
      return answer
    },
    close: end,
  }
}

/** A failure of the thread is returned as a sentence. */
function ask(
  worker: Worker,
  name: string,
  bytes: Uint8Array,
  /** Null: the thread is starting, which takes longer on a busy machine. */
  nowMs: number | null,
  fileMs: number,
): Promise<FileReading | string> {
  const { promise, resolve } = Promise.withResolvers<FileReading | string>()
  const reader = new PieceReader()
  const send = (message: ToParser) => worker.postMessage(message)
  const late = () => resolve(`was not parsed within ${fileMs / 1000} s`)
  let timer = setTimeout(late, nowMs ?? START_MS)
  const onMessage = (message: FromParser) => {
    if (message.kind === 'hello') {
      clearTimeout(timer)
      timer = setTimeout(late, fileMs)
      return
    }
    if (message.kind === 'broken') return resolve({ kind: 'broken', faults: message.faults })
    if (message.kind === 'whole') return resolve(readingOf(name, reader.value()))
    reader.add(message.piece)
    send({ kind: 'more' })
  }
  const onError = (error: Error) => resolve(`could not be parsed: ${error.message}`)
  const onExit = () => resolve('could not be parsed: the thread that parses ended')
  worker.on('message', onMessage).on('error', onError).on('exit', onExit)
  send({ kind: 'parse', name, bytes })
  return promise.finally(() => {
    clearTimeout(timer)
    worker.off('message', onMessage).off('error', onError).off('exit', onExit)
  })
}

function readingOf(file: string, document: unknown): FileReading | string {
  if (file === GLOBAL_FILE && isGlobal(document)) return { kind: 'global', file, document }
  if (isTenant(document)) return { kind: 'tenant', file, document }
  return 'could not be parsed: the document did not arrive'
}

/** One key suffices: the thread has validated the rest, and runs this program. */
function isTenant(value: unknown): value is TenantDocument {
  return typeof value === 'object' && value !== null && 'tenant' in value
}

function isGlobal(value: unknown): value is GlobalDocument {
  return typeof value === 'object' && value !== null
}
