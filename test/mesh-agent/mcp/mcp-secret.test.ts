import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import {
  type FileHandle,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { openMcpSecret } from '../../../mesh-agent/src/mcp/mcp-secret.ts'

describe('the secret of mesh-agent mcp', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-mcp-secret-'))
  })
  afterEach(() => rm(dir, { recursive: true }))

  it('is the same for processes that make it at once, whole, and for this user alone', async () => {
    const file = join(dir, 'state', 'secret')
    const secrets = await Promise.all(Array.from({ length: 8 }, () => openMcpSecret(file)))
    assert.deepEqual([...new Set(secrets.map((secret) => secret.reveal().length))], [43])
    assert.equal(new Set(secrets.map((secret) => secret.reveal())).size, 1)
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(join(dir, 'state')), ['secret'])
  })

  it('has its name only when it is whole, so that no process reads a part', async () => {
    const file = join(dir, 'secret')
    const probe = await open(dir)
    const proto: FileHandle = Object.getPrototypeOf(probe)
    await probe.close()
    const { appendFile: write } = proto
    const named: boolean[] = []
    proto.appendFile = function (this: FileHandle, ...args) {
      named.push(existsSync(file))
      return write.apply(this, args)
    }
    try {
      await openMcpSecret(file)
    } finally {
      proto.appendFile = write
    }
    assert.deepEqual(named, [false])
  })

  it('may be chosen by a person', async () => {
    const file = join(dir, 'secret')
    await writeFile(file, 'correct-horse:battery+staple\n', { mode: 0o600 })
    assert.equal((await openMcpSecret(file)).reveal(), 'correct-horse:battery+staple')
  })

  const spoilt: Record<string, readonly [string, number]> = {
    'that is empty': ['', 0o600],
    'that is too short': ['short\n', 0o600],
    'of several words': ['one two three four five six\n', 0o600],
    'that its group can read': [`${'x'.repeat(30)}\n`, 0o640],
  }
  for (const [what, [text, mode]] of Object.entries(spoilt))
    it(`is refused in a file ${what}, which stays as it is`, async () => {
      const file = join(dir, 'secret')
      await writeFile(file, text, { mode })
      await assert.rejects(openMcpSecret(file), (error: unknown) => {
        assert.ok(error instanceof MeshError)
        assert.equal(error.code, 'MESH_CONFIG_INVALID')
        assert.ok(error.message.includes(file), error.message)
        assert.match(error.hint, /a new one is made/)
        return true
      })
      assert.equal(await readFile(file, 'utf8'), text)
    })
})
