import assert from 'node:assert/strict'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { exportRing } from '../../../mesh-gateway/src/tokens/export-ring.ts'
import { type KeyRing, openKeyRing } from '../../../mesh-gateway/src/tokens/key-ring.ts'
import { ensureRing, retireKey, rotateRing } from '../../../mesh-gateway/src/tokens/rotate-keys.ts'
import { withoutPrivileges } from '../../support/without-privileges.ts'
import { makeWorkplace } from '../cli/gateway-command.ts'

describe('signing keys that come from elsewhere', () => {
  let dir: string
  let ring: KeyRing | null
  const path = (...names: string[]) => join(dir, ...names)
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-keys-'))
    ring = null
    await ensureRing({ dir: path('source') })
  })
  afterEach(async () => {
    await ring?.close()
    await rm(dir, { recursive: true })
  })

  /** The files of the Secret that `keys export` writes. */
  async function exported(): Promise<ReadonlyMap<string, Buffer>> {
    const secret = await exportRing(path('source'), { name: 'mesh-keys', namespace: null })
    const { data } = JSON.parse(secret.reveal())
    return new Map(
      Object.entries(Object(data)).map(([name, text]) => [
        name,
        Buffer.from(String(text), 'base64'),
      ]),
    )
  }
  /** As kubelet does: a directory of its own, and one link that is swapped. */
  async function mountSecret(version: string): Promise<void> {
    await mkdir(path('mounted', version), { recursive: true })
    for (const [name, bytes] of await exported()) {
      await writeFile(path('mounted', version, name), bytes)
      await symlink(join('..data', name), path('mounted', name)).catch(() => {})
    }
    await symlink(version, path('mounted', '..data_tmp'))
    await rename(path('mounted', '..data_tmp'), path('mounted', '..data'))
  }
  const names = (of: string) => readdir(path(of)).then((found) => found.sort())
  const readOnly = (hint: RegExp) => (error: unknown) =>
    error instanceof MeshError && error.code === 'MESH_KEYS_READ_ONLY' && hint.test(error.hint)

  it('are read from a Secret, and followed when kubelet swaps it for one that was rotated and exported', async () => {
    await mountSecret('..1')
    ring = await openKeyRing({ dir: path('mounted'), pollMs: 100 })
    const before = ring.active().kid
    await rotateRing({ dir: path('source') })
    const changed = new Promise<void>((resolve) => ring?.onChange(resolve))
    await mountSecret('..2')
    await changed
    assert.notEqual(ring.active().kid, before)
    assert.ok(ring.verifying(before))
  })

  it('are taken over once all files are there, when an agent of Vault writes one after the other', async () => {
    const put = async (name: string, bytes: Buffer) => {
      await writeFile(path('rendered', `.${name}`), bytes, { mode: 0o400 })
      await rename(path('rendered', `.${name}`), path('rendered', name))
    }
    await mkdir(path('rendered'))
    for (const [name, bytes] of await exported()) await put(name, bytes)
    ring = await openKeyRing({ dir: path('rendered'), pollMs: 50 })
    const before = ring.active().kid
    await rotateRing({ dir: path('source') })
    const [[name, bytes] = ['', Buffer.alloc(0)], ...rest] = await exported()
    assert.equal(name, 'ring.json')
    await put(name, bytes)
    // it names a key whose file is not there
    assert.equal(await ring.reload(), false)
    assert.equal(ring.active().kid, before)
    const changed = new Promise<void>((resolve) => ring?.onChange(resolve))
    for (const [file, content] of rest) await put(file, content)
    await changed
    assert.notEqual(ring.active().kid, before)
  })

  it('are not rotated in a volume of Kubernetes: the error says where, and nothing is written', async () => {
    await mountSecret('..1')
    const found = await names('mounted')
    const where = readOnly(/keys export --secret NAME .*kubectl apply/)
    await assert.rejects(rotateRing({ dir: path('mounted') }), where)
    const { kid } = (await openRing('mounted')).active()
    await assert.rejects(retireKey({ dir: path('mounted'), kid }), where)
    assert.deepEqual(await names('mounted'), found)
  })

  it('are read, exported and not rotated where this user may only read', async () => {
    await chmod(path('source'), 0o555)
    try {
      await withoutPrivileges([path('source'), dir], async () => {
        await chmod(path('source'), 0o555)
        await openRing('source')
        assert.equal((await exported()).size, 3)
        await assert.rejects(
          rotateRing({ dir: path('source') }),
          readOnly(/where they come from, as a user that may write there/),
        )
      })
    } finally {
      await chmod(path('source'), 0o700)
    }
  })

  it('are not made where this user may only read', async () => {
    await mkdir(path('empty'))
    await withoutPrivileges([dir, path('empty')], async () => {
      await chmod(path('empty'), 0o555)
      await assert.rejects(openKeyRing({ dir: path('empty') }), { code: 'MESH_KEYS_READ_ONLY' })
    })
  })

  it('are read from credentials of systemd, which put the name of the directory before each file', async () => {
    await mkdir(path('credentials'))
    for (const [name, bytes] of await exported())
      await writeFile(path('credentials', `keys_${name}`), bytes)
    await openRing(join('credentials', 'keys'))
  })

  it('are written by the command as a Secret, readable by this user only', async () => {
    const place = await makeWorkplace()
    try {
      const keys = ['--keys-dir', path('source')]
      const command = ['keys', 'export', '--secret', 'mesh-keys', '--namespace', 'dmz']
      const shown = await place.run(...command, '--out', '-', ...keys)
      assert.equal(shown.code, 0, shown.stderr)
      const { kind, metadata, data } = JSON.parse(shown.stdout)
      assert.deepEqual([kind, metadata], ['Secret', { name: 'mesh-keys', namespace: 'dmz' }])
      assert.equal(Object.keys(data).length, 3)
      for (const name of Object.keys(data)) assert.match(name, /^[-._a-zA-Z0-9]{1,253}$/)
      const out = join(place.dir, 'secret.json')
      assert.equal((await place.run(...command, '--out', 'secret.json', ...keys)).code, 0)
      assert.equal((await stat(out)).mode & 0o777, 0o600)
      const wrong = await place.run('keys', 'export', '--secret', 'A_B', '--out', '-', ...keys)
      assert.equal(wrong.code, 2)
    } finally {
      await place.close()
    }
  })

  async function openRing(name: string): Promise<KeyRing> {
    const opened = await openKeyRing({ dir: path(name) })
    await opened.close()
    return opened
  }
})
