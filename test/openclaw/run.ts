/**
 * npm run test:openclaw: installs the pinned OpenClaw where it is not installed yet, then runs the parts against two real OpenClaw
 * gateways by mocha. Ends with `N passed, N failed`. Arguments go to mocha: `npm run test:openclaw -- --grep revoked`.
 * It takes 15 minutes at most; CLAWMESH_OPENCLAW_MINUTES says otherwise, for a machine that has much else to do.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isRecord } from '../../scripts/dev/message.ts'
import { installOpenClaw } from './install-openclaw.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const began = performance.now()
const seconds = () => `${((performance.now() - began) / 1000).toFixed(0)} s`

const given = process.argv.slice(2)
const USAGE = 'usage: npm run test:openclaw -- [FILE.openclaw.ts…] [options of mocha]\n'
if (given.includes('--help')) process.stdout.write(USAGE)
else await run()

async function run(): Promise<void> {
  const { dir } = await installOpenClaw()
  process.stdout.write(`openclaw is in ${dir} (${seconds()})\n`)

  const scratch = mkdtempSync(join(tmpdir(), 'clawmesh-openclaw-count-'))
  // CI brings a reporter and an output of its own
  const at = given.findIndex((each) => each.startsWith('output='))
  const output =
    at === -1 ? join(scratch, 'count.json') : (given[at]?.slice('output='.length) ?? '')
  const reporting =
    at === -1
      ? [
          ...['--reporter', join(ROOT, 'scripts/ci/spec-and-count.ts')],
          ...['--reporter-option', `output=${output}`],
        ]
      : []
  const files = given.some((each) => each.endsWith('.openclaw.ts'))
    ? []
    : ['test/openclaw/**/*.openclaw.ts']
  const minutes = Number(process.env.CLAWMESH_OPENCLAW_MINUTES ?? 15)
  const { status, signal } = spawnSync(
    process.execPath,
    [
      ...[join(ROOT, 'node_modules/mocha/bin/mocha.js'), '--config', 'test/openclaw/mocharc.json'],
      ...reporting,
      ...given,
      ...files,
    ],
    // what mocha has started ends with it
    { stdio: 'inherit', cwd: ROOT, timeout: minutes * 60_000 },
  )
  if (signal !== null) process.stdout.write(`ended after ${minutes} minutes by ${signal}\n`)
  process.exitCode = status ?? 1
  process.stdout.write(`${seconds()} in all\n${countOf(output)}\n`)
  rmSync(scratch, { recursive: true, force: true })
}

function countOf(file: string): string {
  try {
    const count: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (isRecord(count)) return `${count.passes} passed, ${count.failures} failed`
  } catch {
    // mocha never got to its end
  }
  process.exitCode = 1
  return '0 passed, 1 failed'
}
