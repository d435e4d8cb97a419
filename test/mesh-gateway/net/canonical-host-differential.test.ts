/**
 * The canonical form of a host against three other readers: the WHATWG URL parser, inet_aton of the C library, and what Node's own
 * lookup makes of it. Where the port takes a spelling, they read the same address or name; what one of them takes for an address is never a name here.
 */
import assert from 'node:assert/strict'
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import fc from 'fast-check'
import { parseConnectTarget } from '../../../mesh-gateway/src/egress/request.ts'
import { canonicalHost } from '../../../mesh-gateway/src/net/host.ts'
import { anyText } from '../../support/any-text.ts'
import { run } from '../../support/grpcurl.ts'
import { needProgram } from '../../support/need-program.ts'

const number = fc.oneof(
  fc.nat(300),
  fc.constantFrom(0, 1, 127, 255, 256, 65_535, 65_536, 16_777_215, 16_777_216),
  fc.constantFrom(2_130_706_433, 4_294_967_295, 4_294_967_296, 9_007_199_254_740_991),
)
const part = fc
  .tuple(number, fc.constantFrom('decimal', 'octal', 'hex', 'HEX', 'padded', 'zeros'))
  .map(([value, how]) => {
    switch (how) {
      case 'octal':
        return `0${value.toString(8)}`
      case 'hex':
        return `0x${value.toString(16)}`
      case 'HEX':
        return `0X${value.toString(16).toUpperCase()}`
      case 'padded':
        return `00${value}`
      case 'zeros':
        return `0x000${value.toString(16)}`
      default:
        return String(value)
    }
  })
/** What looks like IPv4, well formed or nearly. */
const numeric = fc
  .tuple(
    fc.array(part, { minLength: 1, maxLength: 5 }),
    fc.constantFrom('', '', '', '.', '..', ' ', 'x', '-', 'e', '09'),
  )
  .map(([parts, end]) => parts.join('.') + end)
const odd = fc.oneof(
  numeric,
  fc.ipV4Extended(),
  fc.domain(),
  anyText({ maxLength: 20 }),
  fc
    .array(
      fc.constantFrom(
        ...[
          'a',
          'B',
          '1',
          '.',
          '-',
          '_',
          '\u00ad',
          '\t',
          '%2e',
          '%61',
          '\u3002',
          '\uff0e',
          '\uff11',
        ],
        ...[
          '\u00df',
          '\u0130',
          '\u017f',
          '\u2100',
          '\u200d',
          '\u0301',
          'xn--',
          'xn--n3h',
          '\\',
          '@',
        ],
      ),
      { maxLength: 8 },
    )
    .map((pieces) => pieces.join('')),
)

const nameOf = (text: string): string | null => {
  const host = canonicalHost(text)
  return typeof host === 'string' ? null : host.name
}

describe('the canonical form of a host', () => {
  it('is the host that new URL reaches, wherever the port takes it', () => {
    fc.assert(
      fc.property(odd, (text) => {
        const name = nameOf(text)
        if (name === null) return
        const url = URL.parse(`http://${text}/`)
        assert.ok(url, `the URL parser refuses what is ${name} here`)
        assert.equal(url.hostname.replace(/\.$/, ''), name)
      }),
      { numRuns: 1500 },
    )
  })

  it('is an address wherever new URL makes one of it: none passes for a name', () => {
    fc.assert(
      fc.property(odd, (text) => {
        const url = URL.parse(`http://${text}/`)
        const host = canonicalHost(text)
        if (url === null || typeof host === 'string') return
        assert.equal(host.isIp, isIP(url.hostname.replace(/^\[|\]$/g, '')) !== 0, text)
      }),
      { numRuns: 1500 },
    )
  })

  it('changes nothing that new URL would drop, decode or replace: that is refused', () => {
    for (const text of [
      ...['exam\u00adple.com', 'exa\tmple.com', 'exa\nmple.com', 'ex%61mple.com', 'example%2ecom'],
      ...[
        'example\u3002com',
        'example\uff0ecom',
        '\uff45xample.com',
        'exa\u200dmple.com',
        '\u2100.com',
      ],
      ...['127.0.0.\uff11', '\u0661.1.1.1', '127%2e0.0.1', '%31%32%37.0.0.1', '\u2460.1'],
    ]) {
      assert.equal(nameOf(text), null, JSON.stringify(text))
      // a request line is kept as latin1
      const sent = Buffer.from(`${text}:443`).toString('latin1')
      assert.equal(typeof parseConnectTarget(sent), 'string', JSON.stringify(text))
    }
  })

  it('is what inet_aton of the C library reads, wherever both take it, and never a name where that reads an address', async function () {
    needProgram(this, 'python3')
    this.timeout(60_000)
    const seed = Date.now() % 2 ** 31
    const samples = [
      ...fc.sample(numeric, { numRuns: 1000, seed }),
      ...[
        '127.1',
        '127.0.1',
        '0',
        '0x',
        '1.',
        '0x7f.1',
        '0177.1',
        '017700000001',
        '1.2.3.4 x',
        '08',
      ],
    ].filter((text) => !/[\r\n]/.test(text))
    const script =
      'import json, socket, sys\ndef read(text):\n  try: return socket.inet_ntoa(socket.inet_aton(text))\n  except OSError: return None\nprint(json.dumps([read(text) for text in json.loads(sys.argv[1])]))'
    const answers: unknown[] = []
    for (let at = 0; at < samples.length; at += 500) {
      const slice = samples.slice(at, at + 500)
      const { code, stdout, stderr } = await run('python3', ['-c', script, JSON.stringify(slice)])
      assert.equal(code, 0, stderr)
      const read: unknown = JSON.parse(stdout)
      assert.ok(Array.isArray(read) && read.length === slice.length)
      answers.push(...read)
    }
    let both = 0
    for (const [index, text] of samples.entries()) {
      const answer = answers[index]
      const host = canonicalHost(text)
      if (answer === null || typeof host === 'string') continue
      both += 1
      assert.deepEqual(host, { name: answer, isIp: true }, `${text}, seed ${seed}`)
    }
    assert.ok(both > 60, `${both} were read by both`)
  })

  it("is the address that Node's lookup would have reached, though net.isIP knows nothing of it", async () => {
    for (const text of [
      '127.1',
      '127.0.1',
      '2130706433',
      '0x7f000001',
      '0x7f.1',
      '0177.0.0.1',
      '0',
    ]) {
      assert.equal(isIP(text), 0)
      const reached = await lookup(text, { family: 4 })
      assert.equal(nameOf(text), reached.address, text)
    }
    await fc.assert(
      fc.asyncProperty(numeric, async (text) => {
        const name = nameOf(text)
        if (name === null || text.endsWith('.')) return
        // URL parsers take some that the system does not, 0x for one: an address here, never looked up
        const found = await lookup(text, { family: 4 }).catch(() => null)
        if (found !== null) assert.equal(found.address, name)
      }),
      { numRuns: 200 },
    )
  })
})
