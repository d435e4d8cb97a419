/** What a TLS client says first, however it is cut. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { readClientHello } from '../../../../mesh-gateway/src/egress/carry/client-hello.ts'
import { judgeFirstBytes } from '../../../../mesh-gateway/src/egress/carry/judge-first-bytes.ts'
import { parseConnectTarget } from '../../../../mesh-gateway/src/egress/request.ts'
import type { TunnelTls } from '../../../../mesh-gateway/src/policy/decide/decision.ts'
import { captureHello, withExtension, withServerNames } from '../capture-hello.ts'

const STRICT: TunnelTls = {
  ports: new Set([443]),
  noServerName: 'by-rule',
  echOuterNames: new Set(),
  withoutEch: false,
  clearText: 'other',
}

const judge = (bytes: Buffer, target: string, rules: TunnelTls = STRICT, byRule = false) => {
  const parsed = parseConnectTarget(target)
  assert.ok(typeof parsed === 'object')
  return judgeFirstBytes(bytes, parsed, rules, byRule)
}

describe('the first bytes in a tunnel', () => {
  let hello: Buffer
  let nameless: Buffer
  before(async () => {
    hello = await captureHello({ servername: 'api.example.com' })
    nameless = await captureHello({ servername: '' })
  })

  it('pass when the server name is the CONNECT host, on any port', () => {
    assert.equal(judge(hello, 'api.example.com:443'), 'pass')
    assert.equal(judge(hello, 'API.example.com.:8443'), 'pass')
  })

  it('may hide the real name behind an outer one (ECH) only where policy names that', () => {
    const ech = withExtension(hello, 0xfe0d)
    const rules = { ...STRICT, echOuterNames: new Set(['api.example.com']) }
    assert.deepEqual(readClientHello(ech), {
      kind: 'hello',
      serverName: 'api.example.com',
      ech: true,
    })
    assert.equal(judge(ech, 'hidden.example.com:443'), 'MESH_EGRESS_SNI_MISMATCH')
    assert.equal(judge(ech, 'hidden.example.com:443', rules), 'pass')
    // the same name without ECH is plain fronting
    assert.equal(judge(hello, 'hidden.example.com:443', rules), 'MESH_EGRESS_SNI_MISMATCH')
    // browsers always send it, with the real name outside
    assert.equal(judge(ech, 'api.example.com:443'), 'pass')
  })

  it('have no ECH at all where policy wants none, whatever name they show', () => {
    const ech = withExtension(hello, 0xfe0d)
    const rules = { ...STRICT, withoutEch: true }
    assert.equal(judge(ech, 'api.example.com:443', rules), 'MESH_EGRESS_ECH')
    assert.equal(judge(ech, 'hidden.example.com:443', rules), 'MESH_EGRESS_ECH')
    assert.equal(judge(ech, '93.184.215.14:8443', rules), 'MESH_EGRESS_ECH')
    assert.equal(judge(hello, 'api.example.com:443', rules), 'pass')
    for (let length = 0; length < ech.length; length += 1)
      assert.equal(judge(ech.subarray(0, length), 'api.example.com:443', rules), 'more')
  })

  it('may name no server where policy as a whole says so, or where it leaves that to a rule that does', () => {
    for (const [noServerName, byRule, verdict] of [
      ['by-rule', false, 'MESH_EGRESS_SNI_MISMATCH'],
      ['by-rule', true, 'pass'],
      ['refuse', true, 'MESH_EGRESS_SNI_MISMATCH'],
      ['allow', false, 'pass'],
    ] as const)
      assert.equal(
        judge(nameless, 'api.example.com:443', { ...STRICT, noServerName }, byRule),
        verdict,
      )
    assert.equal(
      judge(hello, 'evil.example.com:443', { ...STRICT, noServerName: 'allow' }, true),
      'MESH_EGRESS_SNI_MISMATCH',
    )
  })

  it('may be no TLS where policy says so', () => {
    const rules = { ...STRICT, ports: new Set<number>() }
    assert.equal(judge(Buffer.from('SSH-2.0-x'), 'api.example.com:443'), 'MESH_EGRESS_NOT_TLS')
    assert.equal(judge(Buffer.from('SSH-2.0-x'), 'api.example.com:443', rules), 'clear')
    const wider = { ...STRICT, ports: new Set([443, 853]) }
    assert.equal(judge(Buffer.from('x'), 'api.example.com:853', wider), 'MESH_EGRESS_NOT_TLS')
  })

  it('are refused when the server name is another, or none where a name was asked for', () => {
    assert.equal(judge(hello, 'evil.example.com:443'), 'MESH_EGRESS_SNI_MISMATCH')
    assert.equal(judge(hello, 'evil.example.com:8443'), 'MESH_EGRESS_SNI_MISMATCH')
    assert.equal(judge(hello, '93.184.215.14:443'), 'MESH_EGRESS_SNI_MISMATCH')
    assert.equal(judge(nameless, 'api.example.com:443'), 'MESH_EGRESS_SNI_MISMATCH')
  })

  it('are refused when the server name merely begins or ends with the CONNECT host', async () => {
    for (const servername of [
      'evilapi.example.com',
      'evil-api.example.com',
      'x.api.example.com',
      'api.example.com.evil.test',
      'api.example.comx',
      'pi.example.com',
      'example.com',
    ])
      assert.equal(
        judge(await captureHello({ servername }), 'api.example.com:443'),
        'MESH_EGRESS_SNI_MISMATCH',
        servername,
      )
  })

  it('are refused when they name two servers, in one list or in two, whichever comes first', () => {
    for (const names of [
      ['api.example.com', 'evil.test'],
      ['evil.test', 'api.example.com'],
      ['api.example.com', 'api.example.com'],
    ]) {
      assert.deepEqual(readClientHello(withServerNames(nameless, [names])), { kind: 'malformed' })
      const lists = names.map((name) => [name])
      assert.deepEqual(readClientHello(withServerNames(nameless, lists)), { kind: 'malformed' })
      assert.equal(
        judge(withServerNames(nameless, [names]), 'api.example.com:443'),
        'MESH_EGRESS_NOT_TLS',
      )
    }
    const one = withServerNames(nameless, [['api.example.com']])
    assert.equal(judge(one, 'api.example.com:443'), 'pass')
    for (const lists of [[[]], [['']]])
      assert.deepEqual(readClientHello(withServerNames(nameless, lists)), { kind: 'malformed' })
  })

  it('are refused when they come in more than 64 records, whole as they may be', () => {
    const handshake = hello.subarray(5)
    const inRecords = (count: number) => {
      const records: Buffer[] = []
      for (let index = 0; index < count; index += 1) {
        const rest = index === count - 1
        const piece = handshake.subarray(index, rest ? handshake.length : index + 1)
        records.push(Buffer.from([0x16, 3, 1, piece.length >> 8, piece.length & 255]), piece)
      }
      return Buffer.concat(records)
    }
    assert.equal(judge(inRecords(64), 'api.example.com:443'), 'pass')
    assert.equal(judge(inRecords(65), 'api.example.com:443'), 'MESH_EGRESS_NOT_TLS')
  })

  it('need no server name when CONNECT named an address', () => {
    assert.equal(judge(nameless, '93.184.215.14:443'), 'pass')
    assert.equal(judge(nameless, '[2606:4700::1111]:443'), 'pass')
  })

  it('must be TLS on port 443, and elsewhere as policy says', () => {
    for (const text of ['GET / HTTP/1.1\r\n', 'SSH-2.0-x\r\n', '\u0000', '\u0016\u0002'])
      assert.equal(judge(Buffer.from(text, 'latin1'), 'a.example:443'), 'MESH_EGRESS_NOT_TLS')
    for (const [clearText, verdict] of [
      ['other', 'clear'],
      ['http', 'clear'],
      ['any', 'pass'],
      ['refuse', 'MESH_EGRESS_NOT_TLS'],
    ] as const)
      assert.equal(
        judge(Buffer.from('SSH-2.0-x\r\n'), 'a.example:22', { ...STRICT, clearText }),
        verdict,
      )
  })

  it('are understood however they are cut into packets', () => {
    for (let length = 0; length < hello.length; length += 1)
      assert.equal(judge(hello.subarray(0, length), 'api.example.com:443'), 'more', `${length}`)
  })

  it('are understood however they are cut into records', () => {
    const handshake = hello.subarray(5)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 20 }), (sizes) => {
        const records: Buffer[] = []
        let at = 0
        for (const size of [...sizes, handshake.length]) {
          const piece = handshake.subarray(at, at + size)
          at += piece.length
          if (piece.length > 0)
            records.push(Buffer.from([0x16, 3, 1, piece.length >> 8, piece.length & 255]), piece)
        }
        assert.equal(judge(Buffer.concat(records), 'api.example.com:443'), 'pass')
      }),
    )
  })

  it('never throw, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, asTls) => {
        const head = asTls ? [0x16, 3, 1, 0, 200, 1, 0, 0, 196] : []
        readClientHello(Buffer.from([...head, ...bytes]))
      }),
      { numRuns: 1000 },
    )
    fc.assert(
      fc.property(fc.nat(hello.length - 1), fc.nat(255), (at, value) => {
        const broken = Buffer.from(hello)
        broken[at] = value
        readClientHello(broken)
      }),
      { numRuns: 1000 },
    )
  })

  it('are bounded: endless records and a hello larger than any are refused', () => {
    const tiny = Buffer.concat(
      Array.from({ length: 100 }, (_, index) =>
        Buffer.from([0x16, 3, 1, 0, 1, index === 0 ? 1 : 0]),
      ),
    )
    assert.equal(readClientHello(tiny).kind === 'more', false)
    const huge = Buffer.from([0x16, 3, 1, 0x3f, 0xff, 1, 0xff, 0xff, 0xff])
    assert.equal(readClientHello(huge).kind, 'more')
    const whole = Buffer.concat([huge, Buffer.alloc(0x3fff)])
    assert.equal(readClientHello(whole).kind, 'malformed')
  })
})
