/** What is read of a policy directory: which files, in which order, what is left, and when two readings are the same. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, realpath, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import {
  type RawDirectory,
  readPolicyDirectory,
} from '../../../../mesh-gateway/src/policy/read/read-directory.ts'

describe('the reading of a policy directory', () => {
  let root = ''
  const dir = () => path.join(root, 'policy')
  const tenantDirs = () => path.join(root, 'tenants')
  const put = async (file: string, text: string) => {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true })
    await writeFile(path.join(root, file), text)
  }
  const read = () => readPolicyDirectory({ dir: dir() })
  const readBoth = () => readPolicyDirectory({ dir: dir(), tenantDirs: tenantDirs() })
  /** By name what a file holds, or why it could not be read. */
  const filesOf = (raw: RawDirectory) =>
    raw.files.map(({ name, bytes, problem }) => [name, bytes === null ? problem : String(bytes)])
  const ignoredOf = (raw: RawDirectory) =>
    raw.ignored.map(({ file, message }) => `${file}: ${message}`)

  beforeEach(async () => {
    root = await realpath(await mkdtemp(path.join(tmpdir(), 'clawmesh-read-')))
    await mkdir(dir())
  })
  afterEach(() => rm(root, { recursive: true }))

  it('takes what claims to be policy, _global.json first and then by name', async () => {
    for (const name of ['b.json', '_global.json', 'a.json', '1.json', '_other', 'C.JSON'])
      await put(`policy/${name}`, name)
    for (const name of ['.a.json', '.hidden', 'notes.txt', 'a.json.bak', 'json', 'a.json~'])
      await put(`policy/${name}`, name)
    const raw = await read()
    const names = ['_global.json', '1.json', 'C.JSON', '_other', 'a.json', 'b.json']
    assert.deepEqual(
      filesOf(raw),
      names.map((name) => [name, name]),
    )
    assert.deepEqual([raw.absent, raw.problem, raw.ignored], [false, null, []])
    assert.match(raw.digest, /^[0-9a-f]{64}$/)
  })

  it('says of each file why it cannot be read, and goes on', async () => {
    await put('policy/good.json', '{}')
    await mkdir(path.join(dir(), 'folder.json'))
    await put('policy/large.json', ' '.repeat(1024 * 1024 + 1))
    await put('policy/most.json', ' '.repeat(1024 * 1024))
    await symlink('nowhere', path.join(dir(), 'lost.json'))
    const files = new Map(filesOf(await read()).map(([name = '', what = '']) => [name, what]))
    assert.equal(files.get('good.json'), '{}')
    assert.equal(files.get('folder.json'), 'is not a file')
    assert.equal(files.get('large.json'), 'is larger than 1 MiB')
    assert.equal(files.get('most.json')?.length, 1024 * 1024)
    assert.equal(files.get('lost.json'), 'cannot be read: ENOENT')
  })

  it('leaves what is beyond 64 MiB together', async () => {
    for (let n = 0; n < 66; n += 1) {
      const file = path.join(dir(), `f${String(n).padStart(2, '0')}.json`)
      await writeFile(file, '')
      await truncate(file, 1024 * 1024)
    }
    const { files } = await read()
    const left = files.filter(({ bytes }) => bytes === null)
    assert.deepEqual(
      left.map(({ name, problem }) => [name, problem]),
      [
        ['f64.json', 'is beyond 64 MiB of policy'],
        ['f65.json', 'is beyond 64 MiB of policy'],
      ],
    )
  })

  it('says that a directory is absent, or why it cannot be read', async () => {
    const gone = await readPolicyDirectory({ dir: path.join(root, 'nowhere') })
    assert.equal(gone.absent, true)
    assert.deepEqual(gone.problem, {
      ...{ file: path.join(root, 'nowhere'), pointer: '', line: null, column: null },
      message: 'does not exist',
    })
    await put('file', '')
    const file = await readPolicyDirectory({ dir: path.join(root, 'file') })
    assert.equal(file.absent, false)
    assert.equal(file.problem?.message, 'cannot be read: ENOTDIR')
    assert.deepEqual(file.files, [])
  })

  it('follows the link ..data, and every file is from there', async () => {
    await put('policy/..1/a.json', 'old')
    await put('policy/..2/a.json', 'new')
    await put('policy/a.json', 'beside')
    await symlink('..2', path.join(dir(), '..data'))
    assert.deepEqual(filesOf(await read()), [['a.json', 'new']])
  })

  it('is the same when nothing has changed, and another one when anything has', async () => {
    const digests = new Set<string>()
    const digest = async () => (await readBoth()).digest
    const changes: (() => Promise<unknown>)[] = [
      async () => {},
      () => put('policy/a.json', '1'),
      () => put('policy/a.json', '2'),
      () => put('policy/b.json', '2'),
      () => rm(path.join(dir(), 'a.json')),
      () => mkdir(path.join(dir(), 'a.json')),
      () => mkdir(tenantDirs()),
      () => put('tenants/acme/acme.json', '1'),
      () => put('tenants/acme/other.json', '1'),
      () => put('tenants/b/b.json', '1'),
      () => rm(dir(), { recursive: true }),
    ]
    for (const [turn, change] of changes.entries()) {
      await change()
      const now = await digest()
      assert.equal(await digest(), now)
      digests.add(now)
      assert.equal(digests.size, turn + 1, `change ${turn}`)
    }
  })

  describe('with directories that tenants write', () => {
    it('takes TENANT.json of each, and nothing of what is no tenant', async () => {
      await put('policy/b.json', 'operator')
      await put('tenants/acme/acme.json', 'tenant')
      await put('tenants/zeta/notes.txt', '')
      await put('tenants/Upper/Upper.json', '')
      await put('tenants/.hidden/x.json', '')
      await put('tenants/file.json', '')
      await put('tenants/plain', '')
      await mkdir(path.join(tenantDirs(), 'folder', 'folder.json'), { recursive: true })
      const raw = await readBoth()
      assert.deepEqual(filesOf(raw), [
        ['acme.json', 'tenant'],
        ['b.json', 'operator'],
        ['folder.json', 'is not a file'],
      ])
      assert.deepEqual([raw.problem, raw.ignored], [null, []])
    })

    it('says what is not read: files of others, five of them, and what the operator has too', async () => {
      await put('policy/b.json', 'operator')
      await put('tenants/b/b.json', 'tenant')
      for (const n of [1, 2, 3, 4, 5, 6]) await put(`tenants/acme/x${n}.json`, '')
      await put('tenants/acme/acme.json', 'tenant')
      const raw = await readBoth()
      assert.deepEqual(filesOf(raw), [
        ['acme.json', 'tenant'],
        ['b.json', 'operator'],
      ])
      const why = 'is not read: in the directory of a tenant only acme.json is'
      assert.deepEqual(ignoredOf(raw), [
        ...[1, 2, 3, 4, 5].map((n) => `acme/x${n}.json: ${why}`),
        `${tenantDirs()}/b.json: is not read: ${dir()} has a b.json too, the operator's`,
      ])
    })

    it('looks at two hundred entries of a tenant for what does not belong there', async () => {
      for (let n = 0; n < 260; n += 1) await put(`tenants/acme/.${n}`, '')
      await put('tenants/acme/acme.json', 'tenant')
      assert.deepEqual(filesOf(await readBoth()), [['acme.json', 'tenant']])
    })

    it('reads what the operator has when those are absent, and nothing when the operator’s are', async () => {
      await put('policy/b.json', 'operator')
      const without = await readBoth()
      assert.deepEqual(filesOf(without), [['b.json', 'operator']])
      assert.deepEqual([without.absent, without.problem?.file], [true, tenantDirs()])
      await put('tenants/acme/acme.json', 'tenant')
      await rm(dir(), { recursive: true })
      const alone = await readBoth()
      assert.deepEqual(filesOf(alone), [])
      assert.deepEqual([alone.absent, alone.problem?.file], [true, dir()])
    })

    it('follows no link out of the directory of its tenant, and those within', async () => {
      const out = "is a link that leads out of the tenant's directory"
      await put('tenants/other/other.json', 'other')
      await put('tenants/acmex/file', 'x')
      await mkdir(path.join(tenantDirs(), 'acme'))
      const link = path.join(tenantDirs(), 'acme', 'acme.json')
      for (const to of [
        '../other/other.json',
        '../acmex/file',
        path.join(root, 'tenants/other/other.json'),
      ]) {
        await symlink(to, link)
        assert.deepEqual(filesOf(await readBoth()).slice(0, 1), [['acme.json', out]])
        await rm(link)
      }
      await put('tenants/acme/..1/acme.json', 'within')
      await symlink('..1', path.join(tenantDirs(), 'acme', '..data'))
      await symlink('..data/acme.json', link)
      assert.deepEqual(filesOf(await readBoth()).slice(0, 1), [['acme.json', 'within']])
      await rm(path.join(tenantDirs(), 'acme', '..data'))
      await symlink('acme.json', path.join(tenantDirs(), 'acme', '..data'))
      // a link that leads in a circle is a fault of that tenant
      const [[, why] = []] = filesOf(await readBoth())
      assert.match(String(why), /^cannot be read: E/)
    })
  })
})
