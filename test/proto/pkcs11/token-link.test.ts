import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { openTokenLink } from '@clawmesh/proto/pkcs11'

const PROGRAM = fileURLToPath(new URL('sign-without-descriptors.ts', import.meta.url))

/** A library whose call never comes back, as of a module that waits for a network HSM. */
const HANGS =
  'module.exports = { PKCS11: class { load() { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0) } } }'

/** One whose token has a key, which makes signatures of no known key. */
const SIGNS = `module.exports = {
  CKK_EC: 3,
  PKCS11: class {
    load() {} C_Initialize() {} C_Login() {} C_FindObjectsInit() {} C_FindObjectsFinal() {} C_SignInit() {}
    C_GetSlotList() { return [1] }
    C_GetTokenInfo() { return { label: 'other', flags: 0 } }
    C_OpenSession() { return Buffer.alloc(8) }
    C_FindObjects() { return [Buffer.alloc(8)] }
    C_GetAttributeValue() { return [{ value: Buffer.from([3, 0, 0, 0]) }] }
    C_Sign() { return Buffer.alloc(64, 1) }
  },
}`

describe('the link to a token', () => {
  let dir = ''
  let pinFile = ''
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'token-link-'))
    pinFile = join(dir, 'pin')
    await writeFile(pinFile, '12345678\n')
  })
  afterEach(() => rm(dir, { recursive: true }))

  it('refuses a signature when there is no file descriptor for its process, and ends nothing else', async () => {
    // it dies of an error that nothing listens to, unless the link does
    const { stdout } = await promisify(execFile)('/bin/sh', [
      ...['-c', 'ulimit -n 200; exec "$@"', 'sh'],
      ...[process.execPath, PROGRAM, pinFile],
    ])
    const { without, enough } = JSON.parse(stdout)
    assert.match(without, /token none cannot be used: its process cannot be started \(EMFILE\)/)
    // its module is none: the process was there
    assert.match(enough, /token none cannot be used: (?!its process)/)
  })

  it('refuses signatures at once while too many wait, so that none waits for a slow token without end', async () => {
    const library = join(dir, 'hangs.cjs')
    await writeFile(library, HANGS)
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const uri = { token: 'slow', modulePath: '/none.so', pinFile }
    const link = openTokenLink({ uri, library, answerMs: 600_000, maxWaiting: 8 })
    const faults: unknown[] = []
    const asked = Array.from({ length: 20 }, () =>
      link.sign('00', publicKey, Buffer.from('data')).catch((error: unknown) => faults.push(error)),
    )
    await new Promise(setImmediate)
    // 7 wait, and the login before them
    assert.equal(faults.length, 13)
    for (const fault of faults)
      assert.match(String(fault), /the token slow cannot be used: 8 requests wait for it already/)
    assert.equal(link.problem(), null)
    await link.close()
    await Promise.all(asked)
    assert.equal(faults.length, 20)
  })
  it('has a problem when the token signs with another key', async () => {
    const library = join(dir, 'signs.cjs')
    await writeFile(library, SIGNS)
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const link = openTokenLink({
      uri: { token: 'other', modulePath: '/none.so', pinFile },
      library,
    })
    try {
      const signed = link.sign('00', publicKey, Buffer.from('data'))
      await assert.rejects(signed, { code: 'MESH_HSM_INVALID', message: /signs with another key/ })
      assert.match(link.problem() ?? '', /the token other signs with another key/)
    } finally {
      await link.close()
    }
  })
})
