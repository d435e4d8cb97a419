/**
 * Runs the test files of one part by mocha, in namespaces of its own for processes and mounts. When it has ended, the
 * kernel ends every process of the part and removes every mount; a part that relies on that has failed all the same.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Count } from '../../scripts/ci/count.ts'
import { changedSysctls, leftSince, onMachine, othersRun, sysctlValues } from './leftovers.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const REPORTER = join(ROOT, 'scripts/ci/spec-and-count.ts')
/** How long what was stopped may take to be gone. */
const SETTLE_MS = 10_000
const INSIDE = [
  '--mount',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
  '--propagation',
  'private',
]
/** The shell is process 1 there, and so the parent of what loses its own. */
const SET_UP = 'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && "$@"; exit $?'

export interface PartRun {
  readonly name: string
  /** Patterns or paths of its test files. */
  readonly files: readonly string[]
  readonly maxMinutes: number
  readonly ownNetwork?: boolean
  /** More arguments of mocha, such as `--grep`. */
  readonly mochaArgs?: readonly string[]
  /** How long what was stopped may take to be gone, in milliseconds. Default: 10,000. */
  readonly settleMs?: number
  /** Whether nothing of what mocha says is printed. */
  readonly silent?: boolean
}

/** What it came to. Tests that were skipped, and all that is left behind, are failures. */
export async function runPart(part: PartRun): Promise<Count> {
  const scratch = mkdtempSync(join(tmpdir(), 'cm-'))
  const machine = onMachine()
  const sysctls = sysctlValues()
  const alone = !othersRun()
  try {
    const count = runFiles(part, scratch)
    const left = readLeft(join(scratch, 'left.json'))
    const shared = [
      ...(await leftSince(machine, onMachine, part.settleMs ?? SETTLE_MS)),
      ...changedSysctls(sysctls),
    ]
    if (alone && !othersRun()) left.push(...shared)
    else
      for (const each of shared)
        process.stdout.write(`other tests of deploy run here, so this may be theirs: ${each}\n`)
    return withFailures(count, [
      ...count.skipped.map((title) => `${title}: it was skipped`),
      ...left.map((each) => `${part.name} leaves behind: ${each}`),
    ])
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function runFiles(part: PartRun, scratch: string): Count {
  const { name, files, maxMinutes, mochaArgs = [], settleMs = SETTLE_MS, silent = false } = part
  const own = part.ownNetwork === true
  const output = join(scratch, 'count.json')
  // short: sockets of Unix in it may have names of up to 108 bytes
  const temporary = join(scratch, 't')
  mkdirSync(temporary, { mode: 0o777 })
  const { signal, error } = spawnSync(
    'unshare',
    [
      ...[...(own ? ['--net'] : []), ...INSIDE, '--'],
      ...['sh', '-c', own ? `ip link set lo up && ${SET_UP}` : SET_UP, 'sh'],
      ...[process.execPath, join(ROOT, 'test/deploy/run-inside.ts')],
      ...[join(scratch, 'left.json'), String(settleMs)],
      ...['--config', join(ROOT, 'test/deploy/mocharc.json')],
      ...['--reporter', REPORTER, '--reporter-option', `output=${output}`],
      ...[...mochaArgs, ...files],
    ],
    {
      cwd: ROOT,
      stdio: silent ? 'ignore' : 'inherit',
      timeout: maxMinutes * 60_000,
      killSignal: 'SIGKILL',
      // in CI a test fails, instead of being skipped, when a program is missing
      env: {
        ...process.env,
        CI: 'true',
        TMPDIR: temporary,
        PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
      },
    },
  )
  const unfinished =
    signal === null
      ? `${name} did not run to its end${error === undefined ? '' : `: ${error.message}`}`
      : `${name} was ended after ${maxMinutes} minutes`
  return readCount(output) ?? withFailures(NOTHING, [unfinished])
}

export const NOTHING: Count = {
  passes: 0,
  failures: 0,
  skipped: [],
  retried: [],
  failed: [],
  failedFiles: {},
}

/** Failures of no file, so that no second try of a file makes up for them. */
export function withFailures(count: Count, titles: readonly string[]): Count {
  if (titles.length === 0) return count
  return {
    ...count,
    failures: count.failures + titles.length,
    skipped: [],
    failed: [...count.failed, ...titles],
    failedFiles: { ...count.failedFiles, '': 0 },
  }
}

function readCount(file: string): Count | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return null
  }
}

function readLeft(file: string): string[] {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    // it was ended, which is told already
    return []
  }
}
