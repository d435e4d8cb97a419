/**
 * What became of each mutant, one line each, so that a run that was ended goes on where it was. A mutant that was seen stays seen
 * as long as its source is the same; one that survived is tried again when a test of its area has changed.
 */
import { createHash } from 'node:crypto'
import { appendFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { isRecord } from '../dev/message.ts'
import type { Mutant } from './find-mutants.ts'

export type Verdict = 'seen' | 'seen by the time limit' | 'survived' | 'reached by no test'

export interface Result {
  readonly file: string
  readonly line: number
  readonly operator: string
  readonly before: string
  readonly after: string
  readonly verdict: Verdict
  /** The test that saw it, or how many test files did not. */
  readonly by: string
}

export interface Results {
  find(mutant: Mutant): Result | null
  add(mutant: Mutant, result: Result): void
}

export interface ResultsOptions {
  readonly path: string
  readonly textOf: (source: string) => string
  /** Of all test files of the area. */
  readonly testsHash: string
  /** Forget what was found before. */
  readonly fresh: boolean
}

export function openResults({ path, textOf, testsHash, fresh }: ResultsOptions): Results {
  const known = new Map<string, Result>()
  const hashes = new Map<string, string>()
  mkdirSync(dirname(path), { recursive: true })
  if (fresh) rmSync(path, { force: true })
  for (const line of readLines(path)) {
    const { key, tests, result } = readLine(line) ?? {}
    if (key === undefined || result === undefined) continue
    if (result.verdict.startsWith('seen') || tests === testsHash) known.set(key, result)
  }
  const keyOf = ({ file, start, end, by }: Mutant) => {
    const hash = hashes.get(file) ?? hashOf([textOf(file)])
    hashes.set(file, hash)
    return JSON.stringify([file, hash, start, end, by])
  }
  return {
    find: (mutant) => known.get(keyOf(mutant)) ?? null,
    add(mutant, result) {
      const key = keyOf(mutant)
      known.set(key, result)
      appendFileSync(path, `${JSON.stringify({ key, tests: testsHash, result })}\n`)
    },
  }
}

export function hashOf(texts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(`${text.length}:`).update(text)
  return hash.digest('base64url')
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    // the first run of this room
    return []
  }
}

/** Null for a line that was not written to its end. */
function readLine(line: string): { key: string; tests: string; result: Result } | null {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return null
  }
  if (!isRecord(value) || typeof value.key !== 'string' || !isRecord(value.result)) return null
  const { file, line: at, operator, before, after, verdict, by } = value.result
  if (!isVerdict(verdict)) return null
  return {
    key: value.key,
    tests: String(value.tests),
    result: {
      ...{ file: String(file), line: Number(at), operator: String(operator) },
      ...{ before: String(before), after: String(after), verdict, by: String(by) },
    },
  }
}

function isVerdict(value: unknown): value is Verdict {
  return (
    value === 'seen' ||
    value === 'seen by the time limit' ||
    value === 'survived' ||
    value === 'reached by no test'
  )
}
