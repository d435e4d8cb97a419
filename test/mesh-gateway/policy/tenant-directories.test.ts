/** Policy files in directories that tenants write: what ties a file to its tenant, and what is not read from there. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { formatFault, loadPolicy, openPolicyStore } from '../../../mesh-gateway/src/policy/index.ts'

const document = (tenant: string, ...allow: string[]) =>
  JSON.stringify({ tenant, egress: { allow } })

describe('a directory that a tenant writes', () => {
  let root = ''
  const dir = () => path.join(root, 'policy')
  const tenantDirs = () => path.join(root, 'tenants')
  const write = async (file: string, text: string) => {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true })
    await writeFile(path.join(root, file), text)
  }
  const load = async () => {
    const loading = await loadPolicy({ dir: dir(), tenantDirs: tenantDirs() })
    return {
      tenants: [...loading.snapshot.tenants.keys()],
      denied: [...loading.snapshot.global.egressDeny.exact.keys()],
      allowed: (tenant: string) => [
        ...(loading.snapshot.tenants.get(tenant)?.egress.allow.exact.keys() ?? []),
      ],
      ignored: loading.ignored.map(formatFault),
      faults: loading.ok ? [] : loading.faults.map(formatFault),
    }
  }

  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'clawmesh-tenants-'))
    await write('policy/_global.json', '{ "egress": { "deny": ["denied.test"] } }')
    await mkdir(tenantDirs())
  })
  afterEach(() => rm(root, { recursive: true }))

  it('gives policy to its tenant, beside those of the directory of the operator', async () => {
    await write('policy/globex.json', document('globex', 'g.test'))
    await write('tenants/acme/acme.json', document('acme', 'a.test'))
    const { tenants, allowed, ignored, faults } = await load()
    assert.deepEqual(tenants.sort(), ['acme', 'globex'])
    assert.deepEqual(allowed('acme'), ['a.test'])
    assert.deepEqual([ignored, faults], [[], []])
  })

  it('gives no _global.json and no policy of another tenant: these are left alone and reported', async () => {
    await write('tenants/acme/acme.json', document('acme', 'a.test'))
    await write('tenants/acme/_global.json', '{}')
    await write('tenants/acme/globex.json', document('globex', 'g.test'))
    await write('tenants/acme/notes.txt', 'not policy')
    const { tenants, denied, ignored, faults } = await load()
    assert.deepEqual(tenants, ['acme'])
    assert.deepEqual(denied, ['denied.test'])
    assert.deepEqual(ignored, [
      'acme/_global.json: is not read: in the directory of a tenant only acme.json is',
      'acme/globex.json: is not read: in the directory of a tenant only acme.json is',
    ])
    assert.deepEqual(faults, [])
  })

  it('is tied to its tenant by its name, by the name of the file and by the key within', async () => {
    await write('tenants/acme/acme.json', document('globex', 'g.test'))
    const { tenants, faults } = await load()
    assert.deepEqual(tenants, [])
    assert.match(faults.join(), /acme\.json:1:\d+ #\/tenant: must be the name of the file, "acme"/)
  })

  it('gives way to a file of the operator for the same tenant, and that is reported', async () => {
    await write('policy/acme.json', document('acme', 'operator.test'))
    await write('tenants/acme/acme.json', document('acme', 'tenant.test'))
    const { allowed, ignored } = await load()
    assert.deepEqual(allowed('acme'), ['operator.test'])
    assert.match(ignored.join(), /acme\.json: is not read: .* has a acme\.json too, the operator's/)
  })

  it('does not replace what the operator wrote while the directory of the operator cannot be read', async () => {
    await write('policy/acme.json', document('acme', 'operator.test'))
    await write('tenants/acme/acme.json', document('acme', 'tenant.test'))
    const { promise: told, resolve: tell } = Promise.withResolvers<readonly string[]>()
    const store = await openPolicyStore({
      ...{ dir: dir(), tenantDirs: tenantDirs(), pollMs: 20, debounceMs: 20 },
      log: { debug() {}, info() {}, warn() {}, error() {} },
      metrics: {
        reload() {},
        brokenPolicy(files) {
          if (files.length > 0) tell(files)
        },
      },
    })
    try {
      await rename(dir(), path.join(root, 'gone'))
      assert.deepEqual(await told, [dir()])
      const allow = store.current().tenants.get('acme')?.egress.allow.exact
      assert.deepEqual([...(allow?.keys() ?? [])], ['operator.test'])
    } finally {
      await store.close()
    }
  })

  it('gives nothing where the directory of the operator is absent: what that denies is not known', async () => {
    await write('tenants/acme/acme.json', document('acme', 'denied.test'))
    await rm(dir(), { recursive: true })
    const { tenants, faults } = await load()
    assert.deepEqual(tenants, [])
    assert.match(faults.join(), /does not exist/)
  })

  it('gives nothing by a link that leads out of it, and follows those within', async () => {
    await write('policy/globex.json', document('globex', 'g.test'))
    await mkdir(path.join(tenantDirs(), 'acme'))
    await symlink('../../policy/globex.json', path.join(tenantDirs(), 'acme/acme.json'))
    await write('tenants/initech/..1/initech.json', document('initech', 'i.test'))
    await symlink('..1', path.join(tenantDirs(), 'initech/..data'))
    await symlink('..data/initech.json', path.join(tenantDirs(), 'initech/initech.json'))
    const { tenants, faults } = await load()
    assert.deepEqual(tenants.sort(), ['globex', 'initech'])
    assert.deepEqual(faults, ["acme.json: is a link that leads out of the tenant's directory"])
  })

  it('with ever so many files in it is read as far as it goes', async function () {
    this.timeout(60_000)
    await write('tenants/acme/acme.json', document('acme', 'a.test'))
    await Promise.all(
      Array.from({ length: 500 }, (_, at) => write(`tenants/acme/x${at}.json`, '{}')),
    )
    const { tenants, ignored } = await load()
    assert.deepEqual(tenants, ['acme'])
    assert.equal(ignored.length, 5)
  })
})
