/** What is said of a file that this user has no access to, as in a container whose user is not the owner of a directory. */
import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openIdentity, writeAtomic } from '@clawmesh/agent-sdk/mesh'
import { accessHint, createSpiffeTemplate } from '@clawmesh/proto'
import { withLock } from '@clawmesh/proto/lock'
import { makeTestCa } from '../../support/test-ca.ts'
import { withoutPrivileges } from '../../support/without-privileges.ts'

describe('a file that is denied', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-denied-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))
  const byOther = async (work: () => Promise<void>) => {
    if (process.platform === 'win32') return
    await chmod(dir, 0o755)
    await withoutPrivileges([], work)
  }
  const named = /has no access to it: give that user the directory .*chown -R \d+/

  it('is one that the user may not write into', () =>
    byOther(async () => {
      const denied = { code: 'MESH_DISK_WRITE', hint: named }
      await assert.rejects(writeAtomic(join(dir, 'file'), 'text'), denied)
    }))

  it('is the key of an identity that the user may not read', async () => {
    const ca = await makeTestCa()
    try {
      const identity = await ca.agentDir({ tenant: 'acme', agent: 'planner' })
      const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
      await byOther(() =>
        assert.rejects(openIdentity({ dir: identity, spiffe }), {
          code: 'MESH_IDENTITY_UNREADABLE',
          hint: named,
        }),
      )
    } finally {
      await ca.close()
    }
  })

  it('is told from one whose directory is missing, which is named', async () => {
    const missing = join(dir, 'none')
    const hint = `there is no directory ${missing}: make it, or name another one`
    await assert.rejects(writeAtomic(join(missing, 'file'), 'text'), {
      code: 'MESH_DISK_WRITE',
      hint,
    })
    await assert.rejects(
      withLock(join(missing, 'list.lock'), async () => {}),
      {
        code: 'MESH_DISK_WRITE',
        hint,
      },
    )
  })

  it('says of a read-only file system to mount a volume, and nothing of other faults', () => {
    const fault = (code: string) => Object.assign(new Error(code), { code })
    assert.match(accessHint(fault('EROFS')).hint ?? '', /read-only: mount a volume/)
    assert.deepEqual(accessHint(fault('ENOSPC')), {})
    assert.deepEqual(accessHint('text'), {})
  })
})
