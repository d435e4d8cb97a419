/** PROXY headers, however they are bent and cut: a client is believed from a whole header of a listed proxy, or not at all. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import fc from 'fast-check'
import { readHeader } from '../../../mesh-gateway/src/net/proxy-protocol/read-header.ts'
import { PROXIES } from '../../support/naming-proxy.ts'
import { raw, version1, version2 } from '../../support/proxy-header.ts'
import type { FuzzTarget } from './fuzz-target.ts'
import { basic, get, setUp } from './setup.ts'

const LISTED = '127.23.9.1'
const UNLISTED = '127.23.10.1'
const CLIENT = { ip: '203.0.113.7', port: 51_234 }
const SEEDS = [
  version1(CLIENT),
  version1({ ip: '2001:db8::7', port: 1 }),
  version2(CLIENT),
  version2(CLIENT, { checksum: true }),
  version2({ ip: '2001:db8::7', port: 1 }, { tlvs: [[0x02, Buffer.from('gw')]] }),
  raw(0x20, 0x00, Buffer.alloc(0)),
  raw(0x21, 0x31, Buffer.alloc(216)),
  Buffer.from('PROXY UNKNOWN\r\n'),
]
const PIECES = [
  '',
  '\r\n',
  '\n',
  '\0',
  ' ',
  '\x21',
  '\x11',
  '\xff',
  'PROXY ',
  'TCP6 ',
  '::1 ',
  '65536',
  '07',
]
const bent = fc
  .tuple(
    fc.constantFrom(...SEEDS),
    fc.array(fc.tuple(fc.nat(300), fc.nat(3), fc.constantFrom(...PIECES)), { maxLength: 2 }),
  )
  .map(([seed, edits]) =>
    edits.reduce((text, [at, drop, insert]) => {
      const from = at % (text.length + 1)
      return text.slice(0, from) + insert + text.slice(from + drop)
    }, seed.toString('latin1')),
  )

/** What came back for the bytes, of which the first packets end where `cuts` say. */
function send(
  port: number,
  localAddress: string,
  bytes: Buffer,
  cuts: readonly number[],
): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, localAddress, noDelay: true })
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
    socket.on('connect', async () => {
      const ends = [...new Set([...cuts.map((cut) => cut % bytes.length), bytes.length])]
      let from = 0
      for (const end of ends.sort((a, b) => a - b)) {
        socket.write(bytes.subarray(from, end))
        from = end
        await new Promise(setImmediate)
      }
      socket.end()
    })
  })
}

export const proxyHeaders: FuzzTarget = {
  name: 'whatever stands before a request: its client is that of a whole header from a listed proxy, or it is not served',
  runs: 150,
  async run(parameters) {
    const setup = setUp()
    try {
      const origin = await setup.http((_request, response) => response.end('ok'))
      const egress = await setup.egress(origin.port, { port: { proxiesFrom: [PROXIES] } })
      const auth = basic(await egress.token({ destinations: [`api.test:${origin.port}`] }))
      const request = get(origin.port, `${auth}Connection: close\r\n`)
      const cuts = fc.array(fc.nat(), { maxLength: 4 })
      await fc.assert(
        fc.asyncProperty(bent, cuts, fc.boolean(), async (header, list, listed) => {
          egress.records.length = 0
          const bytes = Buffer.from(header + request, 'latin1')
          const from = listed ? LISTED : UNLISTED
          const answer = await send(egress.number, from, bytes, list)
          const reading = readHeader(bytes)
          if (!listed || reading.kind !== 'header') {
            assert.equal(answer, '')
            assert.deepEqual(egress.records, [])
            return
          }
          // what the header has lost may stand before the request, which is malformed then
          assert.match(answer, /^HTTP\/1\.1 /)
          const { client_ip, client_port } = await egress.record(0)
          assert.deepEqual([client_ip, client_port], [reading.client.ip, reading.client.port])
        }),
        parameters,
      )
    } finally {
      await setup.close()
    }
  },
}
