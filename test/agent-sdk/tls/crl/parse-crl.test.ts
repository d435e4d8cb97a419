import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseCrl, type TrustedRoot, verifyCrl } from '@clawmesh/agent-sdk/mesh'
import { revoke } from '@clawmesh/pki'
import { MeshError } from '@clawmesh/proto'
import { run } from '../../../pki/run.ts'
import { needProgram } from '../../../support/need-program.ts'
import { makeTestCa, type TestCa } from '../../../support/test-ca.ts'

describe('a revocation list', () => {
  let ca: TestCa
  let list: Buffer
  let serial: string
  let intermediate: X509Certificate
  let roots: readonly TrustedRoot[]

  const rootOf = (pem: string): TrustedRoot => {
    const { fingerprint256, validToDate } = new X509Certificate(pem)
    return { pem, fingerprint: fingerprint256, notAfter: validToDate }
  }
  const refusal = (code: string, words: RegExp) => (error: unknown) => {
    assert.ok(error instanceof MeshError)
    assert.equal(error.code, code)
    assert.match(error.message, words)
    return true
  }

  before(async () => {
    ca = await makeTestCa()
    const issued = ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    serial = new X509Certificate(issued.certificateChain).serialNumber.toLowerCase()
    await revoke({ dir: join(ca.dir, 'ca'), target: { serial }, reason: 'keyCompromise' })
    list = (await ca.ca.crl()).der
    intermediate = new X509Certificate(ca.ca.info.intermediate.pem)
    roots = [rootOf(ca.ca.info.root.pem)]
  })
  after(() => ca.close())

  it('says which serial numbers are revoked, until when it is good, and who signed it', () => {
    const crl = parseCrl(list)
    assert.deepEqual([...crl.serials], [serial])
    assert.ok(crl.nextUpdate !== null && crl.nextUpdate.getTime() > Date.now())
    assert.ok(crl.number !== null)
    assert.match(verifyCrl(crl, [intermediate], roots).issuerKey, /^[0-9a-f]{64}$/)
  })

  it('is refused when nobody known has signed it, or a CA that the bundle does not know', async () => {
    const other = await makeTestCa()
    try {
      const code = 'MESH_REVOCATION_INVALID'
      const crl = parseCrl(list)
      assert.throws(() => verifyCrl(crl, [], roots), refusal(code, /no certificate of the CA/))
      const foreign = parseCrl((await other.ca.crl()).der)
      const foreignCa = new X509Certificate(other.ca.info.intermediate.pem)
      assert.throws(
        () => verifyCrl(foreign, [foreignCa], roots),
        refusal(code, /does not lead to a root/),
      )
      // an agent is no CA, whatever it signs
      const agent = new X509Certificate(
        ca.ca.issueAgent({ tenant: 'acme', agent: 'mallory' }).certificateChain,
      )
      assert.throws(() => verifyCrl(crl, [agent], roots), refusal(code, /no certificate/))
    } finally {
      await other.close()
    }
  })

  it('is never taken with a byte flipped or missing, and nothing else happens', () => {
    const seen = new Set<string>()
    const attempt = (bytes: Buffer): boolean => {
      try {
        verifyCrl(parseCrl(bytes), [intermediate], roots)
        return true
      } catch (error) {
        assert.ok(error instanceof MeshError, String(error))
        assert.equal(error.code, 'MESH_REVOCATION_INVALID')
        seen.add(error.message)
        return false
      }
    }
    assert.ok(attempt(list))
    for (let at = 0; at < list.length; at += 1) {
      assert.ok(!attempt(list.subarray(0, at)), `cut at ${at}`)
      for (const mask of [0x01, 0x80, 0xff]) {
        const flipped = Buffer.from(list)
        flipped[at] = (flipped[at] ?? 0) ^ mask
        assert.ok(!attempt(flipped), `byte ${at} with ${mask}`)
      }
    }
    assert.ok(!attempt(Buffer.concat([list, Buffer.from([0])])))
    assert.ok(!attempt(Buffer.alloc(0)))
    assert.ok(!attempt(Buffer.alloc(9 * 1024 * 1024, 0x30)))
    assert.ok(seen.size > 5)
  })

  it('may be made by openssl', async function () {
    needProgram(this, 'openssl', 'version')
    const at = (name: string) => join(ca.dir, name)
    const openssl = async (...args: string[]) => {
      const { code, stderr } = await run('openssl', args, { cwd: ca.dir })
      assert.equal(code, 0, stderr)
    }
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    await writeFile(
      at('openssl.cnf'),
      [
        '[ca]\ndefault_ca=this\n[this]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256',
        'default_crl_days=1\ncrl_extensions=ext\n[ext]\nauthorityKeyIdentifier=keyid\n',
      ].join('\n'),
    )
    await writeFile(
      at('index.txt'),
      'R\t991231235959Z\t261122120000Z,keyCompromise\t00ABCD\tunknown\t/CN=x\n'.replace('00A', 'A'),
    )
    await writeFile(at('number'), '05\n')
    await openssl(
      ...['req', '-x509', ...key, '-keyout', at('o.key'), '-out', at('o.crt'), '-days', '9'],
      ...['-subj', '/CN=made by openssl', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    )
    const made = [
      '-gencrl',
      '-config',
      at('openssl.cnf'),
      '-keyfile',
      at('o.key'),
      '-cert',
      at('o.crt'),
    ]
    await openssl('ca', ...made, '-out', at('o.pem'))
    await openssl('crl', '-in', at('o.pem'), '-outform', 'DER', '-out', at('o.der'))
    const root = rootOf(await readFile(at('o.crt'), 'utf8'))
    const crl = verifyCrl(parseCrl(await readFile(at('o.der'))), [], [root])
    assert.deepEqual([...crl.serials], ['abcd'])
    assert.equal(crl.number, '05')
  })

  it('of a hundred thousand certificates is read in a moment', async () => {
    const entries: Buffer[] = []
    const time = Buffer.from('170d3236313132323132303030305a', 'hex')
    for (let n = 0; n < 100_000; n += 1) {
      const bytes = Buffer.alloc(16, 0x41)
      bytes.writeUInt32BE(n, 12)
      entries.push(Buffer.concat([Buffer.from('30210210', 'hex'), bytes, time]))
    }
    const body = sequence(
      integer(1),
      ECDSA,
      sequence(),
      time,
      time,
      sequence(Buffer.concat(entries)),
    )
    const long = sequence(body, ECDSA, Buffer.from('030200ff', 'hex'))
    // what grows with the square of the entries would take minutes, and run into the time limit of the test
    assert.equal(parseCrl(long).serials.size, 100_000)
  })
})

function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content)
  const long = Buffer.alloc(4)
  long.writeUInt32BE(body.length)
  const bytes = long.subarray(long.findIndex((byte) => byte !== 0))
  const length =
    body.length < 0x80
      ? Buffer.from([body.length])
      : Buffer.concat([Buffer.from([0x80 + bytes.length]), bytes])
  return Buffer.concat([Buffer.from([tag]), length, body])
}
const sequence = (...items: readonly Buffer[]) => der(0x30, ...items)
const integer = (value: number) => der(0x02, Buffer.from([value]))
const ECDSA = sequence(der(0x06, Buffer.from('2a8648ce3d040302', 'hex')))
