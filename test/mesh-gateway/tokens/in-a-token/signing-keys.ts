/** Signing keys in a token of SoftHSM. Run by the part `keys` of test:deploy, which installs it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openTokenLink, parseTokenUri, type TokenLink, tokenOnce } from '@clawmesh/proto/pkcs11'
import { decodeProtectedHeader } from 'jose'
import { type KeyRing, openKeyRing } from '../../../../mesh-gateway/src/tokens/key-ring.ts'
import { keyToken } from '../../../../mesh-gateway/src/tokens/key-token.ts'
import { retireKey, rotateRing } from '../../../../mesh-gateway/src/tokens/rotate-keys.ts'
import { createSignedTokenVerifier } from '../../../../mesh-gateway/src/tokens/verify-signed.ts'
import { MODULE, makeToken, type SoftHsm } from '../../../deploy/keys/soft-hsm.ts'
import { needProgram } from '../../../support/need-program.ts'
import { waitFor } from '../../../support/wait-for.ts'

export function describeSigningKeys(): void {
  describe('signing keys in a token (PKCS #11, SoftHSM)', describeThem)
}

function describeThem(this: Mocha.Suite): void {
  this.timeout(240_000)
  let hsm: SoftHsm
  let dir: string
  let ring: KeyRing | null
  before(function () {
    needProgram(this, 'softhsm2-util', '--version')
    needProgram(this, 'pkcs11-tool', '--module', MODULE, '--show-info')
  })
  beforeEach(() => {
    hsm = makeToken('mesh')
    dir = join(mkdtempSync(join(tmpdir(), 'keys-')), 'keys')
    ring = null
  })
  afterEach(async () => {
    await ring?.close()
    hsm.remove()
    rmSync(join(dir, '..'), { recursive: true, force: true })
  })

  const open = async () => {
    ring = await openKeyRing({ dir, pkcs11: hsm.uri, pollMs: 300 })
    return ring
  }
  const verifies = async (of: KeyRing, token: string) => {
    const verifier = createSignedTokenVerifier({
      keyRing: of,
      issuer: 'gw',
      typ: 'test+jwt',
      audience: null,
      requiredClaims: ['exp'],
      parse: (payload) => ({ ...payload, exp: payload.exp ?? 0 }),
    })
    try {
      return (await verifier.verify(token)).exp > 0
    } finally {
      verifier.close()
    }
  }
  const claims = () => {
    const iat = Math.floor(Date.now() / 1000)
    return { iss: 'gw', iat, nbf: iat, exp: iat + 60, jti: 'x' }
  }
  const rotate = () => rotateRing({ dir, token: keyToken(hsm.uri) })

  it('are made in it, sign, rotate and are destroyed with their retirement; no file has a private key', async () => {
    const opened = await open()
    const first = await opened.sign('test+jwt', claims())
    assert.ok(await verifies(opened, first))
    const changed = new Promise<void>((resolve) => opened.onChange(resolve))
    await rotate()
    await changed
    const second = await opened.sign('test+jwt', claims())
    assert.notEqual(decodeProtectedHeader(first).kid, decodeProtectedHeader(second).kid)
    assert.ok((await verifies(opened, first)) && (await verifies(opened, second)))
    assert.equal(opened.derive('a purpose').length, 3)
    for (const name of await readdir(dir))
      assert.doesNotMatch(readFileSync(join(dir, name), 'utf8'), /PRIVATE KEY/)
    const privateKeys = () => hsm.tool('--list-objects', '--type', 'privkey').match(/Private Key/g)
    assert.equal(privateKeys()?.length, 3)
    const kid = decodeProtectedHeader(first).kid ?? ''
    await retireKey({ dir, kid, token: keyToken(hsm.uri) })
    assert.equal(privateKeys()?.length, 2)
  })

  it('with a wrong PIN are asked for once, until the PIN is another one', async () => {
    await (await open()).close()
    const log = join(hsm.dir, 'tries')
    const spy = spiedModule(log)
    writeFileSync(hsm.pinFile, 'wrong\n')
    const link = openTokenLink({
      uri: { ...parseTokenUri(hsm.uri), ...spy },
      library: spy.library,
      retryMs: 1,
    })
    try {
      const tries = () => readFileSync(log, 'utf8').trim().split('\n').length
      for (let round = 0; round < 4; round += 1) {
        await assert.rejects(signWith(link), { code: 'MESH_HSM_PIN' })
        await delay(5)
      }
      assert.equal(tries(), 1)
      assert.match(link.problem() ?? '', /does not take the PIN/)
      writeFileSync(hsm.pinFile, '123456\n')
      await delay(5)
      await signWith(link)
      assert.equal(link.problem(), null)
      assert.equal(tries(), 2)
    } finally {
      await link.close()
    }
  })

  it('stay known while the token is away: what was signed verifies, ready tells it, and it signs again after', async () => {
    const opened = await open()
    const token = await opened.sign('test+jwt', claims())
    renameSync(join(hsm.dir, 'tokens'), join(hsm.dir, 'away'))
    const away = await openKeyRing({ dir, pkcs11: hsm.uri }).then(
      () => 'opened',
      (error: unknown) => String(Object(error).code),
    )
    assert.equal(away, 'MESH_HSM_UNAVAILABLE')
    await waitFor('the problem', () => opened.problem() !== null, { withinMs: 60_000 })
    assert.ok(await verifies(opened, token))
    await assert.rejects(opened.sign('test+jwt', claims()), /MESH_HSM|cannot be used/)
    renameSync(join(hsm.dir, 'away'), join(hsm.dir, 'tokens'))
    await waitFor('a signature', () => opened.problem() === null, { withinMs: 60_000 })
    assert.ok(await verifies(opened, await opened.sign('test+jwt', claims())))
  })

  it('of another kind, or another key under the same id, are refused: the last good ring stays', async () => {
    const opened = await open()
    const { kid } = opened.active()
    await rotateRing({ dir, token: null })
    // the next key of the ring is a file now, and the active one the next of before: both sign
    await waitFor('the rotation', () => opened.active().kid !== kid)
    const id = idIn(opened.active().kid)
    hsm.tool('--delete-object', '--type', 'privkey', '--id', id)
    hsm.tool('--keypairgen', '--key-type', 'rsa:2048', '--id', id, '--label', 'other')
    const again = await openKeyRing({ dir, pkcs11: hsm.uri }).then(
      () => 'opened',
      (error: unknown) => `${Object(error).code} ${Object(error).message}`,
    )
    assert.match(again, /MESH_HSM_INVALID .*of another kind/)
    await waitFor('the problem', () => opened.problem() !== null, { withinMs: 60_000 })
    hsm.tool('--delete-object', '--type', 'privkey', '--id', id)
    hsm.tool('--keypairgen', '--key-type', 'EC:prime256v1', '--id', id, '--label', 'third')
    const third = await openKeyRing({ dir, pkcs11: hsm.uri }).then(
      () => 'opened',
      (error: unknown) => `${Object(error).code} ${Object(error).message}`,
    )
    assert.match(third, /MESH_HSM_INVALID .*signs with another key/)
  })

  it('do not hold anything up when the token hangs: the process of the module is ended', async () => {
    await (await open()).close()
    const { library } = hangingModule()
    const link = openTokenLink({
      uri: parseTokenUri(hsm.uri),
      library,
      answerMs: 300,
      retryMs: 60_000,
    })
    try {
      const fails = { code: 'MESH_HSM_UNAVAILABLE', message: /did not answer within 0\.3 seconds/ }
      await assert.rejects(signWith(link), fails)
      // at once: the token is not asked again yet
      await assert.rejects(signWith(link), fails)
      assert.match(link.problem() ?? '', /did not answer/)
    } finally {
      await link.close()
    }
    const once = tokenOnce(parseTokenUri(hsm.uri), library, 300)
    assert.throws(() => once.generate('x'), { code: 'MESH_HSM_UNAVAILABLE' })
  })

  it('are not named with a PIN in the configuration, nor in a process list', () => {
    for (const uri of [
      'pkcs11:token=mesh?module-path=/m.so&pin-value=123456',
      'pkcs11:token=mesh',
      'pkcs11:token=mesh?module-path=/m.so',
      'pkcs11:token=mesh;token=two?module-path=/m.so&pin-source=/p',
      'pkcs11:token=%zz?module-path=/m.so&pin-source=/p',
      'softhsm',
    ])
      assert.throws(
        () => parseTokenUri(uri),
        (error: unknown) =>
          Object(error).code === 'MESH_HSM_INVALID' && !String(error).includes('123456'),
      )
  })

  async function signWith(link: TokenLink): Promise<void> {
    const { keys } = JSON.parse(readFileSync(join(dir, 'ring.json'), 'utf8'))
    const { kid } = keys[0]
    const { createPublicKey } = await import('node:crypto')
    const text = readFileSync(join(dir, `${kid}.pem`), 'utf8')
    const publicKey = createPublicKey(text.slice(text.indexOf('-----')))
    await link.sign(idIn(kid), publicKey, Buffer.from('data'))
  }
  function idIn(kid: string): string {
    const text = readFileSync(join(dir, `${kid}.pem`), 'utf8')
    return (/;id=([%0-9a-f]+)/i.exec(text)?.[1] ?? '').replaceAll('%', '')
  }
  /** pkcs11js with a count of logins in a file. */
  function spiedModule(log: string): { readonly library: string } {
    const real = execFileSync(process.execPath, ['-p', 'require.resolve("pkcs11js")'], {
      encoding: 'utf8',
    }).trim()
    const library = join(hsm.dir, 'spy.cjs')
    writeFileSync(
      library,
      `const real = require(${JSON.stringify(real)})
      class PKCS11 extends real.PKCS11 {
        C_Login(...args) { require('fs').appendFileSync(${JSON.stringify(log)}, 'login\\n'); return super.C_Login(...args) }
      }
      module.exports = { ...real, PKCS11 }`,
    )
    return { library }
  }
  /** A module whose call never comes back, as one that waits for a network HSM. */
  function hangingModule(): { readonly library: string } {
    const library = join(hsm.dir, 'hang.cjs')
    writeFileSync(
      library,
      'module.exports = { PKCS11: class { load() { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0) } } }',
    )
    chmodSync(library, 0o600)
    return { library }
  }
}
