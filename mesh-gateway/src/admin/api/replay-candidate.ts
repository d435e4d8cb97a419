/**
 * Runs a candidate policy over the recent decisions of this process. Files that are not among the candidates stay as they
 * are in force. Traffic goes on meanwhile: files are parsed in a thread, and all else is done in slices.
 */
import { createHash } from 'node:crypto'
import type { RecentLines } from '../../audit/recent-lines.ts'
import type { CompiledFile } from '../../policy/compile/compile.ts'
import { createDocumentParser } from '../../policy/read/document-parser.ts'
import type { PolicyFault } from '../../policy/read/fault-shape.ts'
import { createFileJudge } from '../../policy/read/file-judge.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'
import { inSlices, type Steps } from '../../process/in-slices.ts'
import { type AgentOf, readCase, readFields } from '../../recorded/recorded-case.ts'
import { createReportedReplay } from '../../recorded/replay-report.ts'
import type { Changed, ReplayFacts } from '../../recorded/replay-shapes.ts'
import type { CandidateFile, Line, ReplayAnswer } from './facts.ts'
import { sumChanged } from './merge.ts'
import { allLines, newestFirst, timeOf } from './newest-lines.ts'

export interface ReplayOptions {
  readonly recent: Pick<RecentLines, 'of'>
  readonly policy: { current(): PolicySnapshot }
  readonly agentOf: () => AgentOf
}

/** Of each kind, how many are shown. */
const EXAMPLES = 20

/** One at a time. */
export function createCandidateReplay({
  recent,
  policy,
  agentOf,
}: ReplayOptions): (files: readonly CandidateFile[]) => Promise<ReplayAnswer> {
  let running = false
  return async (files) => {
    if (running) return 'busy'
    running = true
    try {
      const { compiled, faults } = await compileAll(files)
      if (faults.length > 0) return { faults }
      const candidate = replaced(policy.current(), compiled)
      return await inSlices(replay(newestFirst(allLines(recent)), candidate, agentOf()))
    } finally {
      running = false
    }
  }
}

async function compileAll(files: readonly CandidateFile[]) {
  const parser = createDocumentParser({ idleMs: 0 })
  const judge = createFileJudge(parser)
  const { signal } = new AbortController()
  const compiled: CompiledFile[] = []
  const faults: PolicyFault[] = []
  try {
    for (const { name, text } of files) {
      const bytes = Buffer.from(text)
      const digest = createHash('sha256').update(bytes).digest('hex')
      const judged = await judge.judge({ name, bytes, problem: null, digest }, signal)
      if (judged.kind === 'broken') faults.push(...judged.faults)
      else compiled.push(judged)
    }
  } finally {
    await parser.close()
  }
  return { compiled, faults }
}

function replaced(current: PolicySnapshot, files: readonly CompiledFile[]): PolicySnapshot {
  const tenants = new Map(current.tenants)
  const closed = new Set(current.closed)
  let { global } = current
  for (const file of files)
    if (file.kind === 'global') global = file.policy
    else {
      tenants.set(file.policy.tenant, file.policy)
      closed.delete(file.policy.tenant)
    }
  const names = new Set([...current.files, ...files.map(({ file }) => file)])
  return { ...current, tenants, closed, global, files: [...names].sort() }
}

function* replay(
  lines: Iterable<Line>,
  candidate: PolicySnapshot,
  agentOf: AgentOf,
): Steps<ReplayFacts> {
  const replayed = createReportedReplay(candidate, EXAMPLES)
  let records = 0
  let notOfPolicy = 0
  let since: string | null = null
  for (const line of lines) {
    yield
    const fields = readFields(line)
    // a request that is open for long counts once, by its end
    if (fields.get('phase') === 'open') continue
    const reading = readCase(fields, agentOf)
    if (reading === 'foreign') continue
    records += 1
    since = timeOf(line)
    if (reading === 'other') notOfPolicy += 1
    else replayed.add(reading)
  }
  const report = replayed.report()
  const examples = {
    newly_refused: withoutPaths(report.examples.newly_refused),
    newly_allowed: withoutPaths(report.examples.newly_allowed),
  }
  return { records, not_of_policy: notOfPolicy, since, ...report, examples }
}

/** A path may hold anything. */
function withoutPaths(changed: readonly Changed[]): readonly Changed[] {
  const shown = changed.map((one) =>
    one.plane === 'egress' ? { ...one, what: one.what.replace(/^(\S+ [^/]+)\/.*$/s, '$1') } : one,
  )
  return sumChanged(shown, [])
}
