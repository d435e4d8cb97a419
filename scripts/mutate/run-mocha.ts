/** Runs test files in the copy until one test fails, the files are through, or the time is up. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { isRecord } from '../dev/message.ts'
import { FAILURE_MARK } from './first-failure.ts'
import type { WorkCopy } from './work-copy.ts'

export type MochaEnd =
  | { readonly kind: 'passed'; readonly ms: number }
  /** `test` is empty when no test failed and mocha ended with an error all the same: a file that cannot be loaded. */
  | { readonly kind: 'failed'; readonly file: string; readonly test: string; readonly why: string }
  | { readonly kind: 'hung' }

export interface MochaRun {
  readonly copy: Pick<WorkCopy, 'root' | 'scratch'>
  readonly files: readonly string[]
  readonly limitMs: number
  /** Where Node writes what was executed, by this process and those it starts. */
  readonly coverageTo?: string
  /** Ends the run, which throws then. */
  readonly signal: AbortSignal
}

/** How long mocha has for its hooks after a failure. */
const HOOKS_MS = 5_000
/** Of what an error says, so much is kept. */
const TAIL_CHARS = 2_000

export async function runMocha(run: MochaRun): Promise<MochaEnd> {
  const { files, limitMs, coverageTo, signal } = run
  const { root, scratch } = run.copy
  signal.throwIfAborted()
  const startMs = performance.now()
  const reporter = join(import.meta.dirname, 'first-failure.ts')
  const child = spawn(
    process.execPath,
    [join(root, 'node_modules/mocha/bin/mocha.js'), '--bail', '--reporter', reporter, ...files],
    {
      cwd: root,
      // a group of its own, so that what the tests start ends with it
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        TMPDIR: scratch,
        // no bundle for each mutant (test/support/bundled-gateway.ts)
        CLAWMESH_SOURCES: '1',
        ...(coverageTo !== undefined && { NODE_V8_COVERAGE: coverageTo }),
      },
    },
  )
  let failure: string | null = null
  let hung = false
  let [said, complained] = ['', '']
  const end = () => endGroup(child.pid)
  let timer = setTimeout(() => {
    hung = true
    end()
  }, limitMs)
  signal.addEventListener('abort', end)
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-TAIL_CHARS * 4)
    const at = said.indexOf(FAILURE_MARK)
    const newline = said.indexOf('\n', at)
    if (failure !== null || at < 0 || newline < 0) return
    failure = said.slice(at + FAILURE_MARK.length, newline)
    clearTimeout(timer)
    timer = setTimeout(end, HOOKS_MS)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complained = (complained + text).slice(-TAIL_CHARS)
  })
  const { promise, resolve } = Promise.withResolvers<number | null>()
  child.once('error', () => resolve(null))
  child.once('exit', resolve)
  const code = await promise
  clearTimeout(timer)
  signal.removeEventListener('abort', end)
  end()
  signal.throwIfAborted()
  if (failure !== null) return { kind: 'failed', ...readFailure(failure) }
  if (hung) return { kind: 'hung' }
  if (code === 0) return { kind: 'passed', ms: Math.round(performance.now() - startMs) }
  return { kind: 'failed', file: files[0] ?? '', test: '', why: complained.trim() }
}

/** Ends mocha and all that its tests started: the group is this runner's own. */
function endGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // nothing of the group is left
  }
}

function readFailure(line: string): { file: string; test: string; why: string } {
  const value: unknown = JSON.parse(line)
  if (!isRecord(value)) return { file: '', test: '', why: line }
  return { file: String(value.file), test: String(value.title), why: String(value.why) }
}
