import assert from 'node:assert/strict'
import { mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readWhole } from '../../../agent-sdk/src/files/read-whole.ts'
import { hasNamedPipes, makeNamedPipe } from '../../support/named-pipe.ts'

describe('reading a file whole', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-whole-'))
  })
  after(() => rm(dir, { recursive: true, force: true }))

  const fails = (path: string, code: string, maxBytes = 100) =>
    assert.rejects(readWhole(path, { maxBytes }), { code })

  it('gives all bytes, through links too, up to the last that is allowed', async () => {
    const file = join(dir, 'file')
    for (const size of [0, 1, 4096, 4097, 100_000]) {
      const bytes = Buffer.alloc(size, 'abc')
      await writeFile(file, bytes)
      assert.deepEqual(await readWhole(file, { maxBytes: size }), bytes)
      if (size > 0) await fails(file, 'TOO_LARGE', size - 1)
    }
    await symlink('file', join(dir, 'link'))
    assert.equal((await readWhole(join(dir, 'link'), { maxBytes: 100_000 })).length, 100_000)
  })

  it('gives what has no size until it is read', async function () {
    if (process.platform !== 'linux') return this.skip()
    const status = await readWhole('/proc/self/status', { maxBytes: 65_536 })
    assert.match(status.toString(), /^Name:(.*\n)+$/)
    await fails('/proc/self/status', 'TOO_LARGE', 64)
  })

  it('does not read a file that is too large', async () => {
    const file = join(dir, 'huge')
    await writeFile(file, '')
    await truncate(file, 200 * 1024 * 1024)
    const before = process.memoryUsage().arrayBuffers
    await fails(file, 'TOO_LARGE', 1024 * 1024)
    assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024)
  })

  it('refuses whatever is not a regular file, and waits for none of it', async () => {
    if (hasNamedPipes()) {
      makeNamedPipe(join(dir, 'pipe'))
      await fails(join(dir, 'pipe'), 'NOT_A_FILE')
    }
    await fails(dir, 'NOT_A_FILE')
    await fails('/dev/zero', 'NOT_A_FILE')
    const server = createServer().listen(join(dir, 'socket'))
    await new Promise((resolve) => server.once('listening', resolve))
    await fails(join(dir, 'socket'), 'ENXIO')
    await new Promise((resolve) => server.close(resolve))
  })

  it('says of what is missing what the system says', () => fails(join(dir, 'none'), 'ENOENT'))
})
