/**
 * Judges policy files while traffic flows: the document parser parses them, and they are compiled in slices. A file
 * that was judged is not judged again, and a file that took too long waits behind the other files.
 */
import { inSlices } from '../../process/in-slices.ts'
import { type CompiledFile, compileInSteps } from '../compile/compile.ts'
import type { DocumentParser } from './document-parser.ts'
import type { RawFile } from './read-directory.ts'
import { type BrokenFile, broken, GLOBAL_FILE, type PolicyFile } from './read-file.ts'

export type JudgedFile = CompiledFile | BrokenFile

export interface FileJudge {
  /** @throws the reason of `signal` */
  judge(file: RawFile, signal: AbortSignal): Promise<JudgedFile>
  /** The known result; null when the file must be judged. */
  known(file: RawFile): JudgedFile | null
  /** The order of judging: `_global.json`, then the files that were quick the last time. */
  inOrder(files: readonly RawFile[]): readonly RawFile[]
  /** Forgets files that no longer exist. */
  keepOnly(files: readonly RawFile[]): void
}

interface Verdict {
  readonly digest: string
  readonly judged: JudgedFile
  readonly tookMs: number
  /** When a file that timed out is tried again, by the clock of `performance`. */
  readonly againMs: number
}

/** A file that took too long, or ended the thread, is not tried again for this time, in milliseconds. */
const AGAIN_MS = 60_000

export function createFileJudge(parser: DocumentParser): FileJudge {
  const verdicts = new Map<string, Verdict>()
  /** For files that are broken now, often by a mistake that is soon undone. */
  const lastGood = new Map<string, Verdict>()

  function known(file: RawFile): JudgedFile | null {
    if (file.bytes === null) return broken(file.name, file.problem ?? 'cannot be read')
    const verdict = [verdicts.get(file.name), lastGood.get(file.name)].find(
      (one) => one?.digest === file.digest,
    )
    return verdict !== undefined && verdict.againMs > performance.now() ? verdict.judged : null
  }

  const tookMs = ({ name }: RawFile) =>
    name === GLOBAL_FILE ? -1 : (verdicts.get(name)?.tookMs ?? 0)

  return {
    known,
    async judge(file, signal) {
      const before = known(file)
      if (before !== null || file.bytes === null || file.digest === null)
        return before ?? broken(file.name, 'cannot be read')
      const startMs = performance.now()
      const parsed = await parser.parse(file.name, file.bytes)
      signal.throwIfAborted()
      const judged = parsed.kind === 'broken' ? parsed : await compiled(parsed, signal)
      const nowMs = performance.now()
      const verdict = {
        digest: file.digest,
        judged,
        tookMs: nowMs - startMs,
        againMs: 'late' in parsed ? nowMs + AGAIN_MS : Number.POSITIVE_INFINITY,
      }
      verdicts.set(file.name, verdict)
      if (judged.kind !== 'broken') lastGood.set(file.name, verdict)
      return judged
    },
    inOrder: (files) => files.toSorted((a, b) => tookMs(a) - tookMs(b)),
    keepOnly(files) {
      const names = new Set(files.map(({ name }) => name))
      for (const known of [verdicts, lastGood])
        for (const name of known.keys()) if (!names.has(name)) known.delete(name)
    },
  }
}

async function compiled(file: PolicyFile, signal: AbortSignal): Promise<JudgedFile> {
  try {
    return await inSlices(compileInSteps(file), signal)
  } catch (error) {
    signal.throwIfAborted()
    const why = error instanceof Error ? error.message : String(error)
    return broken(file.file, `could not be compiled: ${why}`)
  }
}
