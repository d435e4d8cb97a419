/** The whole bench in its quick form, which `npm test` has no time for: `npm run bench:test`. CI shows its figures. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const BENCH = fileURLToPath(new URL('run.ts', import.meta.url))

const TITLES = [
  ...['Delegated calls', 'Latency at half load', 'Chains of delegation', 'Idle streams', 'Cuts'],
  ...['Egress requests', 'Tunnels', 'Idle tunnels', 'Two workers', 'Idle'],
]
/** A figure that is there, of each suite that calls through a gateway. */
const MEASURED = [
  /CPU per unary call +mesh-gateway +[\d.]+ µs/,
  /added latency p50 +mesh-gateway +-?[\d.]+ ms/,
  /latency p99 +mesh-gateway +[\d.]+ ms[\s\S]* direct call +[\d.]+ ms/,
  /CPU per call +another method +[\d.]+ µs/,
  /CPU beyond that of another method +begins a chain +-?[\d.]+ µs/,
  /extends one, token never seen +-?[\d.]+ µs/,
  /resident memory per stream +mesh-gateway +-?[\d.]+ kB/,
  /99 of 100 are cut, by the audit log +mesh-gateway +[\d.]+ ms/,
  /the last is cut, seen by callers +mesh-gateway +[\d.]+ ms/,
  /CPU per request +mesh-gateway +[\d.]+ µs/,
  /requests per second[\s\S]* direct request +[\d.]+ \/s/,
  /added latency p99 +mesh-gateway +-?[\d.]+ ms[\s\S]* direct request +[\d.]+ ms/,
  /CPU per megabyte +mesh-gateway +[\d.]+ µs/,
  /resident memory per tunnel +mesh-gateway +-?[\d.]+ kB/,
  // those that take part when they are installed
  /squid +[\d.]+ µs|squid left out: squid is not installed/,
  /smokescreen +[\d.]+ µs|smokescreen left out: smokescreen is not installed/,
  /two workers ÷ one +measured +[\d.]+ ×[\s\S]* at most +[\d.]+ ×|Two workers[\s\S]* left out: \w+(?:, \w+)* is not installed/,
]

describe('the bench', function () {
  this.timeout(600_000)
  let dir: string

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bench-test-'))
    // squid gives up root and must still reach its own corner
    await chmod(dir, 0o755)
  })
  afterEach(async () => {
    await rm(dir, { recursive: true, force: true })
  })

  const start = (...args: string[]) =>
    spawn(process.execPath, [BENCH, ...args], {
      env: { ...process.env, TMPDIR: dir },
      stdio: ['ignore', 'pipe', 'pipe'],
    })

  it('measures every suite in a quick run, loses no call, and leaves nothing behind', async () => {
    const bench = start('--quick')
    let stdout = ''
    let stderr = ''
    bench.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      // for whoever reads the log of CI
      process.stdout.write(text)
    })
    bench.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    const [code] = await once(bench, 'close')
    assert.equal(code, 0, stderr)
    for (const title of TITLES) assert.ok(stdout.includes(`${title}\n\n`), title)
    for (const row of MEASURED) assert.match(stdout, row)
    assert.doesNotMatch(stdout, /failed through|did not stay open/)
    await nothingIsLeft(dir)
  })

  it('ends all of it on Ctrl-C', async () => {
    const bench = start('--only', 'delegation', '--rounds', '100')
    const lines = createInterface({ input: bench.stderr })
    for await (const line of lines) if (line.includes('warming up')) break
    assert.ok(processesNaming(dir).length > 0)
    bench.kill('SIGINT')
    const [code] = await once(bench, 'close')
    assert.equal(code, 130)
    await nothingIsLeft(dir)
  })

  it('refuses wrong options with exit code 2', async () => {
    const bench = start('--only', 'lunch')
    const [code] = await once(bench, 'close')
    assert.equal(code, 2)
  })
})

async function nothingIsLeft(dir: string): Promise<void> {
  assert.deepEqual(processesNaming(dir), [])
  assert.deepEqual(await readdir(dir), [])
}

/** Command lines of processes that were given a path below `dir`. */
function processesNaming(dir: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      return command.includes(`${dir}/`) ? [command] : []
    } catch {
      return [] // it has ended between two looks
    }
  })
}
