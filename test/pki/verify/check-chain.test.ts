import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { type Check, checkChain } from '../../../pki/src/verify/check-chain.ts'
import {
  type ParsedCertificate,
  parseCertificates,
} from '../../../pki/src/x509/parse-certificate.ts'
import { der, type Minted, type MintOptions, mint, sequence } from '../../agent-sdk/tls/mint.ts'

const NOW_MS = 1_800_000_000_000
const at = (seconds: number) => new Date(NOW_MS + seconds * 1000)
const LIFE = { notBefore: at(-3_600), notAfter: at(3_600) }
const URI = 'spiffe://mesh.internal/tenant/acme/agent/planner'
const SERVER = '1.3.6.1.5.5.7.3.1'
const COMMON_NAME = Buffer.from('550403', 'hex')
const CLIENT = '1.3.6.1.5.5.7.3.2'

const minted = (options: MintOptions = {}) => mint({ ...LIFE, ...options })
const parsed = ({ pem }: Minted): ParsedCertificate =>
  parseCertificates(pem)[0] ?? assert.fail('no certificate')

describe('checking a chain', () => {
  const rootMade = minted({ name: 'root', pathLength: null })
  const betweenMade = minted({ name: 'between', issuer: rootMade, pathLength: 0 })
  const root = parsed(rootMade)
  const between = parsed(betweenMade)
  const leaf = parsed(minted({ name: 'leaf', issuer: betweenMade, uris: [URI] }))

  const faults = (checks: readonly Check[]) =>
    checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`)
  interface Part {
    readonly leaf?: Partial<ParsedCertificate>
    readonly between?: Partial<ParsedCertificate>
    readonly root?: Partial<ParsedCertificate>
  }
  /** Of the good chain, with what is said of its certificates in place of what they say. */
  const faultsOf = (part: Part, nowMs = NOW_MS) =>
    faults(
      checkChain(
        [
          { ...leaf, ...part.leaf },
          { ...between, ...part.between },
        ],
        [{ ...root, ...part.root }],
        nowMs,
      ),
    )

  it('says of a good one what was found', () => {
    assert.deepEqual(checkChain([leaf, between], [root], NOW_MS), [
      { name: 'chain', ok: true, detail: 'CN=leaf <- CN=between <- CN=root' },
      { name: 'time', ok: true, detail: 'until 2027-01-15T09:00:00Z, 1 h 0 min left' },
      {
        ...{ name: 'constraints', ok: true },
        detail: 'every CA above it may issue it, with its names',
      },
      { name: 'usage', ok: true, detail: 'good for TLS servers and clients' },
      { name: 'identity', ok: true, detail: URI },
    ])
    const sooner = { notAfter: at(60) }
    const [, time] = checkChain([leaf, { ...between, ...sooner }], [root], NOW_MS)
    assert.equal(time?.detail, 'until 2027-01-15T08:01:00Z, 1 min 0 s left')
    assert.throws(() => checkChain([], [root], NOW_MS), { message: /must hold a certificate/ })
  })

  it('takes every second of the life of each, and none beside it', () => {
    const [from, to] = [LIFE.notBefore.getTime(), LIFE.notAfter.getTime()]
    for (const nowMs of [from, to]) assert.deepEqual(faultsOf({}, nowMs), [])
    assert.match(
      faultsOf({}, to + 1)[0] ?? '',
      /^time: CN=leaf expired 0 s ago, at 2027-.*; CN=root/,
    )
    assert.match(faultsOf({}, from - 1)[0] ?? '', /^time: CN=leaf is not valid before .*, in 0 s; /)
    assert.deepEqual(faultsOf({ root: { notAfter: at(-60) } }), [
      'time: CN=root expired 1 min 0 s ago, at 2027-01-15T07:59:00Z',
    ])
    assert.deepEqual(faultsOf({ between: { notBefore: at(60) } }), [
      'time: CN=between is not valid before 2027-01-15T08:01:00Z, in 1 min 0 s',
    ])
  })

  it('finds the way to a root, whatever else is there, or says where it ends', () => {
    const other = parsed(minted({ name: 'other', pathLength: null }))
    const twin = parsed(minted({ name: 'root', pathLength: null }))
    const direct = parsed(minted({ name: 'direct', issuer: rootMade, uris: [URI] }))
    const chain = (certificates: ParsedCertificate[], roots: ParsedCertificate[]) =>
      faults(checkChain(certificates, roots, NOW_MS))
    assert.deepEqual(chain([leaf, other, between], [other, root]), [])
    assert.deepEqual(chain([direct], [root]), [])
    // it may come along as well, and need not
    assert.deepEqual(chain([leaf, between, root], [root]), [])
    assert.deepEqual(chain([leaf], [root]), [
      'chain: CN=leaf was issued by CN=between, which is neither in the chain nor trusted',
    ])
    assert.deepEqual(chain([leaf, between], [other]), [
      'chain: CN=between was issued by CN=root, which is neither in the chain nor trusted',
    ])
    assert.deepEqual(chain([leaf, between], [twin]), [
      'chain: the signature of CN=between is not by the CN=root that is here',
    ])
    // TLS goes by the name, and looks among the roots first
    const named = parsed(minted({ name: 'between', pathLength: null }))
    assert.deepEqual(chain([leaf, between], [named, root]), [
      'chain: the signature of CN=leaf is not by the CN=between that is here',
    ])
    // names are the same whatever the case and the blanks, as in TLS
    const name = sequence(
      der(0x31, sequence(der(0x06, COMMON_NAME), der(0x0c, Buffer.from('Between ')))),
    )
    const shouted = minted({ name: 'leaf', issuer: betweenMade, issuerName: name, uris: [URI] })
    assert.deepEqual(chain([parsed(shouted), between], [root]), [])
    // a CA of the same key under another name is another one
    const renamed = minted({ name: 'x', issuer: rootMade, pathLength: 0, key: betweenMade })
    assert.deepEqual(chain([leaf, parsed(renamed)], [root]), [
      'chain: CN=leaf was issued by CN=between, which is neither in the chain nor trusted',
    ])
    // one that issued itself leads nowhere, and not in a circle
    assert.match(chain([leaf, between, root], [other]).join(), /^chain: the signature of CN=root/)
    assert.doesNotMatch(chain([root], [other, root]).join(), /chain:/)
    assert.match(chain([root], [root]).join(), /^usage: it is the certificate of a CA/)
    assert.doesNotMatch(chain([root], [root]).join(), /chain:/)
  })

  it('goes by the one that is in time, of several of one CA', () => {
    const renewed = mint({ name: 'root', pathLength: null, key: rootMade, ...LIFE })
    const old = mint({
      ...{ name: 'root', pathLength: null, key: rootMade },
      ...{ notBefore: at(-7_200), notAfter: at(-60) },
    })
    for (const roots of [
      [parsed(old), parsed(renewed)],
      [parsed(renewed), parsed(old)],
    ])
      assert.deepEqual(faults(checkChain([leaf, between], roots, NOW_MS)), [])
    assert.match(
      faults(checkChain([leaf, between], [parsed(old)], NOW_MS)).join(),
      /^time: CN=root expired/,
    )
  })

  it('goes no further than eight, and reads ten of a file', () => {
    const deep = (count: number) => {
      const cas = [rootMade]
      for (let n = 0; n < count; n += 1)
        cas.unshift(minted({ name: `ca-${n}`, issuer: cas[0] ?? rootMade, pathLength: null }))
      const end = minted({ name: 'leaf', issuer: cas[0] ?? rootMade, uris: [URI] })
      return faults(checkChain([end, ...cas.slice(0, -1)].map(parsed), [root], NOW_MS))
    }
    assert.deepEqual(deep(7), [])
    assert.deepEqual(deep(8), ['chain: the chain is too long'])
    const more = (count: number) => Array.from({ length: count }, () => between)
    assert.deepEqual(faults(checkChain([leaf, ...more(9)], [root], NOW_MS)), [])
    assert.deepEqual(faults(checkChain([leaf, ...more(10)], [root], NOW_MS)), [
      'chain: the file holds more than 10 certificates',
    ])
    assert.deepEqual(faults(checkChain([leaf, between], [root], NOW_MS, ['one', 'two'])), [
      'chain: one; two',
    ])
  })

  it('takes for roots what gateways and agents load as such', () => {
    const chain = (roots: ParsedCertificate[]) => faults(checkChain([leaf, between], roots, NOW_MS))
    assert.deepEqual(chain([root, between]), [
      'chain: CN=between among the roots is not a root: intermediates belong into tls.crt',
    ])
    assert.deepEqual(chain([root, leaf]), ['chain: CN=leaf among the roots is not a CA'])
  })

  it('asks of every CA whether it may issue what is below it', () => {
    const none = { uris: [], dnsNames: [], ipAddresses: [], others: [] }
    const permitted = (...uris: string[]) => ({
      nameConstraints: { permitted: { ...none, uris }, excluded: none },
    })
    for (const [part, found] of [
      [{ leaf: { unknownCritical: ['1.2.3'] } }, 'leaf has the critical extension 1.2.3'],
      [{ root: { unknownCritical: ['1.2.3'] } }, 'root has the critical extension 1.2.3'],
      [{ between: { isCa: false } }, 'between is not a CA'],
      [{ between: { keyUsage: 0x82 } }, 'between may not sign certificates'],
      [{ root: { keyUsage: 0 } }, 'root may not sign certificates'],
      [{ between: { keyUsage: null } }, null],
      [{ between: { keyUsage: 0x04 } }, null],
      [{ root: { pathLength: 0 } }, 'root may have 0 CAs below it, and has more'],
      [{ root: { pathLength: 1 } }, null],
      [{ root: permitted('other.internal') }, 'root does not permit spiffe:'],
      [{ between: permitted('other.internal') }, 'between does not permit spiffe:'],
      [{ between: permitted('mesh.internal') }, null],
      // nor a leaf that bears the name of its CA
      [
        { leaf: { subject: leaf.issuer }, between: permitted('other.internal') },
        'between does not permit spiffe:',
      ],
      // of the leaf they say nothing
      [{ leaf: { pathLength: 0, ...permitted('other.internal') } }, null],
    ] as const) {
      const [first = '', ...more] = faultsOf(part)
      if (found === null) assert.equal(first, '', JSON.stringify(part))
      else assert.ok(first.startsWith(`constraints: CN=${found}`), `${found}: ${first}`)
      assert.deepEqual(more, [])
    }
  })

  it('does not count CAs that name themselves as their issuer, nor judges their names', () => {
    const ids = { keyIds: true }
    const top = minted({ name: 'root', pathLength: null, ...ids })
    const own = minted({ name: 'root', issuer: top, pathLength: null, ...ids })
    const below = minted({ name: 'leaf', issuer: own, uris: [URI], ...ids })
    const uris = ['spiffe://other/x']
    const named = { ...parsed(own), names: { ...leaf.names, uris } }
    const limited = {
      ...parsed(top),
      pathLength: 0,
      nameConstraints: {
        permitted: { uris: ['mesh.internal'], dnsNames: [], ipAddresses: [], others: [] },
        excluded: { uris: [], dnsNames: [], ipAddresses: [], others: [] },
      },
    }
    assert.deepEqual(faults(checkChain([parsed(below), named], [limited], NOW_MS)), [])
  })

  it('refuses keys and signatures that TLS refuses, but for the signature of a root', () => {
    const rsa = (modulusLength: number) => ({
      publicKey: generateKeyPairSync('rsa', { modulusLength }).publicKey,
    })
    assert.deepEqual(faultsOf({ leaf: rsa(1024) }), [
      'constraints: CN=leaf has a key of 1024 bits, and TLS wants 2048',
    ])
    assert.deepEqual(faultsOf({ leaf: rsa(2048) }), [])
    for (const signatureAlgorithm of [
      ...['1.2.840.113549.1.1.4', '1.2.840.113549.1.1.5', '1.2.840.10045.4.1'],
      '1.2.840.10040.4.3',
    ]) {
      for (const one of ['leaf', 'between'])
        assert.deepEqual(faultsOf({ [one]: { signatureAlgorithm } }), [
          `constraints: CN=${one} is signed with MD5 or SHA-1, which TLS refuses`,
        ])
      assert.deepEqual(faultsOf({ root: { signatureAlgorithm } }), [])
    }
  })

  it('takes a leaf that is good for both sides of TLS, and for nothing of a CA', () => {
    const ca = 'usage: it is the certificate of a CA, not of an agent or gateway'
    const signs =
      'usage: its key may sign certificates or revocation lists, as only that of a CA may'
    const cannot = 'usage: its key may not sign, as TLS 1.3 needs'
    for (const [part, found] of [
      [{ leaf: { isCa: true } }, [ca]],
      [{ leaf: { keyUsage: 0x84 } }, [signs]],
      [{ leaf: { keyUsage: 0x82 } }, [signs]],
      [{ leaf: { keyUsage: 0x08 } }, [cannot]],
      [{ leaf: { keyUsage: 0 } }, [cannot]],
      [{ leaf: { keyUsage: 0x80 } }, []],
      [{ leaf: { keyUsage: 0xf8 } }, []],
      [{ leaf: { keyUsage: null, extKeyUsage: null } }, []],
      [{ leaf: { extKeyUsage: [SERVER] } }, ['usage: CN=leaf is not for clients']],
      [{ between: { extKeyUsage: [CLIENT] } }, ['usage: CN=between is not for servers']],
      [{ root: { extKeyUsage: [CLIENT, SERVER] } }, []],
      [
        { leaf: { extKeyUsage: ['2.5.29.37.0'] } },
        ['usage: CN=leaf is not for servers; CN=leaf is not for clients'],
      ],
    ] as const)
      assert.deepEqual(faultsOf(part), found, JSON.stringify(part))
  })

  it('takes one SPIFFE ID, and calls a certificate without a subject by its first name', () => {
    const named = (uris: readonly string[]) => ({ leaf: { names: { ...leaf.names, uris } } })
    assert.deepEqual(faultsOf(named([])), ['identity: it carries no SPIFFE ID'])
    assert.deepEqual(faultsOf(named([URI, URI])), ['identity: it carries more than one URI'])
    for (const uri of ['spiffe://a/B', 'spiffe://a.b-c_1/x.Y_z-1/2'])
      assert.deepEqual(faultsOf(named([uri])), [])
    for (const uri of [
      ...[
        'spiffe://A/b',
        'spiffe://a/',
        'spiffe:///b',
        'spiffe://a',
        'https://a/b',
        'x spiffe://a/b',
      ],
      ...['spiffe://a/b?c', 'spiffe://a:1/b', 'xspiffe://a/b', 'spiffe://a/b\n'],
    ])
      assert.match(faultsOf(named([uri])).join(), /^identity: its URI is not a SPIFFE ID: /, uri)
    const nameless = (options: MintOptions) =>
      checkChain(
        [parsed(minted({ name: '', issuer: betweenMade, ...options })), between],
        [root],
        NOW_MS,
      )[0]?.detail
    assert.equal(nameless({ uris: [URI] }), `${URI} <- CN=between <- CN=root`)
    assert.equal(nameless({ dnsNames: ['a.test'] }), 'a.test <- CN=between <- CN=root')
    assert.equal(nameless({}), '(no name) <- CN=between <- CN=root')
  })
})
