import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { needProgram } from '../../support/need-program.ts'
import { waitFor } from '../../support/wait-for.ts'

const PROCESS = fileURLToPath(new URL('appending-process.ts', import.meta.url))

/** A real file that takes no more: of this process, by its own limit. */
describe('processes that append to one audit log', () => {
  let dir: string
  let file: string
  const running = new Set<ChildProcess>()
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-append-'))
    file = join(dir, 'audit.log')
  })
  afterEach(async () => {
    for (const child of running) child.kill('SIGKILL')
    running.clear()
    await rm(dir, { recursive: true })
  })

  const start = async () => {
    const script = `trap '' XFSZ; ulimit -S -f 8; exec "${process.execPath}" "${PROCESS}" "${file}"`
    const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    running.add(child)
    const ended = once(child, 'exit')
    const heard: unknown[] = []
    child.on('message', (message) => heard.push(message))
    await waitFor('it to be there', () => heard.includes('open'))
    return {
      heard,
      ended,
      write: (line: string) => child.send(line),
      makeRoom() {
        const { status } = spawnSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited:'])
        assert.equal(status, 0)
      },
    }
  }
  const line = (id: string) => JSON.stringify({ id, padding: 'x'.repeat(300) })
  const whole = (text: string) => {
    try {
      return String(JSON.parse(text).id)
    } catch {
      // the beginning of a line that was cut off
      return null
    }
  }

  it('glue nothing to a line that a full disk has cut off, and repeat it whole', async function () {
    needProgram(this, 'prlimit')
    const [cut, other] = [await start(), await start()]
    for (let i = 0; i < 20; i += 1) cut.write(line(`cut-${i}`))
    await waitFor('the disk to be full', () => cut.heard.includes('fails'))
    // there is room again, and this one comes first
    other.makeRoom()
    for (let i = 0; i < 3; i += 1) other.write(line(`other-${i}`))
    await waitFor('its lines', async () => (await readFile(file, 'utf8')).includes('other-2'))
    cut.makeRoom()
    cut.write('')
    other.write('')
    await Promise.all([cut.ended, other.ended])
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
    const ids = lines.map(whole)
    const expected = [
      ...Array.from({ length: 20 }, (_, i) => `cut-${i}`),
      ...Array.from({ length: 3 }, (_, i) => `other-${i}`),
    ]
    assert.deepEqual(ids.filter((id) => id !== null).toSorted(), expected.toSorted())
    const torn = lines.filter((_, i) => ids[i] === null)
    assert.equal(torn.length, 1)
    assert.ok(lines.some((one) => one !== torn[0] && one.startsWith(torn[0] ?? '-')))
    assert.equal(cut.heard.includes('dropped'), false)
  })
})
