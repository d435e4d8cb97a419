import assert from 'node:assert/strict'
import { once } from 'node:events'
import { statSync, unlinkSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listenOn } from '../../../mesh-gateway/src/net/listen.ts'

describe('a Unix socket of the gateway', () => {
  let dir = ''
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-listen-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))
  const modeOf = (path: string) => statSync(path).mode & 0o777

  it('is closed to other users from its first moment, whatever the umask', async () => {
    const path = join(dir, 'egress.sock')
    const server = createServer()
    const modes: number[] = []
    server.once('listening', () => modes.push(modeOf(path)))
    const before = process.umask(0)
    try {
      await listenOn(server, { host: '', port: 0, path }, 'egress.listen')
      assert.equal(process.umask(), 0, 'the umask of the process is as it was')
    } finally {
      process.umask(before)
    }
    assert.deepEqual(
      modes.map((mode) => mode & 0o007),
      [0],
    )
    assert.equal(modeOf(path), 0o660)
    server.close()
    await once(server, 'close')
  })

  it('that is gone before its mode is set is a clear error, and ends no process', async () => {
    const path = join(dir, 'egress.sock')
    const server = createServer()
    server.once('listening', () => unlinkSync(path))
    await assert.rejects(listenOn(server, { host: '', port: 0, path }, 'egress.listen'), {
      code: 'MESH_CONFIG_PORT',
    })
    assert.equal(server.listening, false)
  })
})
