import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { meshPkiHere } from '../../pki/run-here.ts'
import { needProgram } from '../../support/need-program.ts'
import { MODULE, makeToken, PIN, type SoftHsm } from './soft-hsm.ts'

describe('a CA with its keys in a token (PKCS #11, SoftHSM)', function () {
  this.timeout(240_000)
  let hsm: SoftHsm
  let cwd: string
  before(function () {
    needProgram(this, 'softhsm2-util', '--version')
    needProgram(this, 'pkcs11-tool', '--module', MODULE, '--show-info')
    hsm = makeToken('mesh-ca')
    cwd = mkdtempSync(join(tmpdir(), 'ca-'))
  })
  after(() => {
    hsm?.remove()
    if (cwd !== undefined) rmSync(cwd, { recursive: true, force: true })
  })

  const pki = (...args: string[]) => meshPkiHere(args, { cwd })
  const done = async (...args: string[]) => {
    const { code, stdout, stderr } = await pki(...args)
    assert.equal(code, 0, stderr)
    return stdout
  }
  const issue = (out: string) =>
    pki('issue', 'agent', '--tenant', 'acme', '--agent', 'planner', '--out', out)

  it('is made, issues, revokes, signs lists and renews, without a passphrase and without a key on disk', async () => {
    await done('init', '--trust-domain', 'mesh.internal', '--pkcs11', hsm.uri)
    for (const name of ['root.key', 'intermediate.key']) {
      const text = readFileSync(join(cwd, 'mesh-ca', name), 'utf8')
      assert.match(text, /^pkcs11:token=mesh-ca;id=%/)
      assert.doesNotMatch(text, /PRIVATE KEY/)
    }
    assert.equal((await issue('first')).code, 0)
    await done('verify', 'first', '--ca', 'mesh-ca/root.crt')
    await done('revoke', 'first')
    await done('crl', '--out', 'crl.pem')
    await done('renew', 'intermediate', '--new-key')
    assert.equal((await issue('second')).code, 0)
    await done('verify', 'second', '--ca', 'mesh-ca/root.crt')
    // that of the former intermediate is signed too
    const lists = await done('crl')
    assert.equal(lists.match(/BEGIN X509 CRL/g)?.length, 3)
    assert.equal(
      hsm.tool('--list-objects', '--type', 'privkey').match(/Private Key/g)?.length,
      3,
      'root, intermediate, former intermediate',
    )
  })

  it('is backed up and restored: the archive names the keys, and has none', async () => {
    writeFileSync(join(cwd, 'pass'), 'a passphrase of the archive\n')
    const pass = ['--passphrase-file', 'pass']
    await done('backup', 'create', '--out', 'ca.age', ...pass)
    await done('backup', 'restore', 'ca.age', '--dir', 'restored', ...pass)
    for (const name of ['root.key', 'intermediate.key'])
      assert.equal(
        readFileSync(join(cwd, 'restored', name), 'utf8'),
        readFileSync(join(cwd, 'mesh-ca', name), 'utf8'),
      )
    await done('crl', '--dir', 'restored', '--out', 'restored.pem')
  })

  it('says that the PIN is wrong, or that the token is away, and hands out nothing', async () => {
    writeFileSync(hsm.pinFile, 'wrong\n')
    const wrong = await issue('third')
    assert.equal(wrong.code, 1)
    assert.match(wrong.stderr, /the token mesh-ca does not take the PIN/)
    assert.match(wrong.stderr, /hint: put the right PIN into the file/)
    writeFileSync(hsm.pinFile, `${PIN}\n`)
    renameSync(join(hsm.dir, 'tokens'), join(hsm.dir, 'away'))
    const away = await issue('third')
    assert.equal(away.code, 1)
    assert.match(away.stderr, /the token mesh-ca cannot be used/)
    renameSync(join(hsm.dir, 'away'), join(hsm.dir, 'tokens'))
    assert.deepEqual(
      readdirSync(cwd).filter((name) => name.startsWith('third')),
      [],
    )
    assert.equal((await issue('third')).code, 0)
  })

  it('is refused where the token signs with another key', async () => {
    const file = join(cwd, 'mesh-ca', 'intermediate.key')
    const text = readFileSync(file, 'utf8')
    const id = (/;id=([%0-9a-f]+)/i.exec(text)?.[1] ?? '').replaceAll('%', '')
    hsm.tool('--delete-object', '--type', 'privkey', '--id', id)
    const missing = await issue('fourth')
    assert.match(missing.stderr, /the token does not have the key/)
    hsm.tool('--keypairgen', '--key-type', 'EC:prime256v1', '--id', id, '--label', 'other')
    const other = await issue('fourth')
    assert.equal(other.code, 1)
    assert.match(other.stderr, /signs with another key/)
  })
})
