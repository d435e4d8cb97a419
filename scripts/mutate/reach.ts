/**
 * What each test file executes. Every file runs once without a mutant, with Node's own coverage, which the processes and threads
 * that it starts write as well: a mutant need only be tried with the tests that execute it.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isRecord } from '../dev/message.ts'
import { type MochaEnd, runMocha } from './run-mocha.ts'
import type { WorkCopy } from './work-copy.ts'

/** Executed parts of the sources, as pairs of offsets. */
export type Executed = Readonly<Record<string, readonly (readonly [number, number])[]>>

export interface Reach {
  readonly test: string
  readonly ms: number
  readonly executed: Executed
}

const LIMIT_MS = 5 * 60_000

export interface ReachOptions {
  readonly copy: WorkCopy
  /** Of a source of this repository. Null for any other file. */
  readonly lengthOf: (source: string) => number | null
  readonly signal: AbortSignal
}

/** A test file that does not pass without a mutant can tell nothing of one: its end comes back instead. */
export async function findReach(
  test: string,
  { copy, lengthOf, signal }: ReachOptions,
): Promise<Reach | Exclude<MochaEnd, { kind: 'passed' }>> {
  const coverageTo = await mkdtemp(join(copy.scratch, 'reach-'))
  try {
    const end = await runMocha({ copy, files: [test], limitMs: LIMIT_MS, coverageTo, signal })
    if (end.kind !== 'passed') return end
    return { test, ms: end.ms, executed: await readExecuted(coverageTo, copy.root, lengthOf) }
  } finally {
    await rm(coverageTo, { recursive: true, force: true })
  }
}

export function executes({ executed }: Reach, file: string, offset: number): boolean {
  return (executed[file] ?? []).some(([start, end]) => start <= offset && offset < end)
}

async function readExecuted(
  folder: string,
  root: string,
  lengthOf: (source: string) => number | null,
): Promise<Executed> {
  const marked = new Map<string, Uint8Array>()
  for (const name of await readdir(folder)) {
    for (const { file, functions } of readScripts(
      await readFile(join(folder, name), 'utf8'),
      root,
    )) {
      const length = lengthOf(file)
      if (length === null) continue
      const here = paint(functions, length)
      const all = marked.get(file)
      if (all === undefined) marked.set(file, here)
      else for (const [at, mark] of here.entries()) if (mark === 1) all[at] = 1
    }
  }
  return Object.fromEntries([...marked].map(([file, marks]) => [file, runsOf(marks)]))
}

interface CountedRange {
  readonly start: number
  readonly end: number
  readonly count: number
}

/** Inner ranges have the last word: they come later, when sorted by where they start. */
function paint(ranges: readonly CountedRange[], length: number): Uint8Array {
  const marks = new Uint8Array(length)
  const sorted = ranges.toSorted((a, b) => a.start - b.start || b.end - a.end)
  for (const { start, end, count } of sorted) marks.fill(count > 0 ? 1 : 0, start, end)
  return marks
}

function runsOf(marks: Uint8Array): [number, number][] {
  const runs: [number, number][] = []
  for (let at = 0; at < marks.length; ) {
    const start = marks.indexOf(1, at)
    if (start < 0) break
    const gap = marks.indexOf(0, start)
    at = gap < 0 ? marks.length : gap
    runs.push([start, at])
  }
  return runs
}

/** The scripts of this repository in a coverage file. One that a process did not finish to write is as if it were not there. */
function readScripts(text: string, root: string) {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return []
  }
  const scripts: { file: string; functions: CountedRange[] }[] = []
  for (const script of listOf(value, 'result')) {
    if (!isRecord(script) || typeof script.url !== 'string') continue
    if (!script.url.startsWith('file:')) continue
    const path = fileURLToPath(script.url)
    if (!path.startsWith(`${root}/`)) continue
    const functions: CountedRange[] = []
    for (const one of listOf(script, 'functions'))
      for (const range of listOf(one, 'ranges')) {
        if (!isRecord(range)) continue
        const { startOffset: start, endOffset: end, count } = range
        if (typeof start === 'number' && typeof end === 'number' && typeof count === 'number')
          functions.push({ start, end, count })
      }
    scripts.push({ file: path.slice(root.length + 1), functions })
  }
  return scripts
}

function listOf(value: unknown, name: string): readonly unknown[] {
  const list = isRecord(value) ? value[name] : undefined
  return Array.isArray(list) ? list : []
}
