import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const BENCH = fileURLToPath(new URL('../../bench/run.ts', import.meta.url))

describe('the bench', function () {
  this.timeout(120_000)
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
    })
    bench.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    const [code] = await once(bench, 'close')
    assert.equal(code, 0, stderr)
    for (const title of ['Delegated calls', 'Egress requests', 'Tunnels', 'Idle'])
      assert.ok(stdout.includes(title), title)
    assert.match(stdout, /CPU per unary call +mesh-gateway +[\d.]+ µs/)
    assert.match(stdout, /CPU per request +mesh-gateway +[\d.]+ µs/)
    assert.doesNotMatch(stdout, /failed through/)
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
