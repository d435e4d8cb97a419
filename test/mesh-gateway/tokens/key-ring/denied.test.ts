/** What is said of a ring of keys that this user has no access to, as in a container whose user is not the owner of a directory. */
import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openKeyRing } from '../../../../mesh-gateway/src/tokens/key-ring.ts'
import { withoutPrivileges } from '../../../support/without-privileges.ts'

const NAMED = /has no access to it: give that user the directory .*chown -R \d+/

describe('a ring of keys that is denied', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-denied-'))
    await chmod(dir, 0o755)
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))
  const open = () =>
    withoutPrivileges([], async () => {
      await openKeyRing({ dir: join(dir, 'keys') })
    })

  it('is one that the user may not make', async () => {
    if (process.platform === 'win32') return
    await assert.rejects(open(), { code: 'MESH_KEYS_READ_ONLY', hint: NAMED })
  })

  it('is one that the user may not read', async () => {
    if (process.platform === 'win32') return
    await mkdir(join(dir, 'keys'), { mode: 0o755 })
    await writeFile(join(dir, 'keys/ring.json'), '{}', { mode: 0o600 })
    await assert.rejects(open(), { code: 'MESH_KEYS_UNUSABLE', hint: NAMED })
  })
})
