/** Which trace the gateway is told of a fetch: the one that its header names, else that of the work, else a new one. */
import assert from 'node:assert/strict'
import { waitFor } from '../../support/wait-for.ts'
import { type StandInEgress, startStandInEgress } from '../stand-in/egress-port.ts'

const idOf = (digit: string) => digit.repeat(32)
const named = (digit: string) => `00-${idOf(digit)}-${'1'.repeat(16)}-01`

describe('the trace of a fetch', () => {
  let port: StandInEgress
  const seen: (string | undefined)[] = []
  before(async () => {
    port = await startStandInEgress((request, response) => {
      seen.push(request.headers.tracestate?.toString())
      response.end('page')
    })
  })
  beforeEach(() => {
    port.traces.length = 0
    port.asked.length = 0
    seen.length = 0
  })
  after(() => port.close())

  const fetched = async (url: string, headers: Record<string, string> = {}, trace?: string) => {
    const within = trace === undefined ? {} : { trace }
    await (await port.client.fetch(url, { headers }, within)).text()
  }

  it('over https is of the tunnel, which no other named trace shares', async () => {
    const url = `https://${port.secure}/`
    const digits = [...'abcdef']
    for (const digit of digits) {
      await fetched(url, { Traceparent: named(digit) })
      await fetched(url, {}, named(digit))
    }
    assert.deepEqual([...new Set(port.traces)], digits.map(idOf))
  })

  it('shares tunnels where nobody names one', async () => {
    const url = `https://${port.secure}/`
    for (let turn = 0; turn < 20; turn += 1) await fetched(url)
    assert.ok(port.asked.length < 20, `${port.asked.length} tunnels`)
    assert.match(port.traces[0] ?? '', /^[0-9a-f]{32}$/)
  })

  it('keeps tunnels of the latest traces alone', async () => {
    const url = `https://${port.secure}/`
    const digits = [...'0123456789abcdef'].map((digit) => `${digit}e`)
    const name = (two: string) => `00-${two.repeat(16)}-${'1'.repeat(16)}-01`
    for (const digit of [...digits, 'ff', 'fd', 'fc'])
      await fetched(url, { traceparent: name(digit) })
    assert.equal(port.asked.length, 19)
    await waitFor('the oldest to be closed', () => port.tunnels.size <= 16)
  })

  it('over http is said once, whatever stands in the headers', async () => {
    const url = 'http://open.example/'
    await fetched(url, { Traceparent: named('a'), tracestate: 'x=1' }, named('b'))
    await fetched(url, {}, named('b'))
    assert.deepEqual(port.traces, [idOf('a'), idOf('b')])
    assert.deepEqual(seen, ['x=1', undefined])
  })

  it('is that of the work where the header is malformed, and its tracestate counts for nothing', async () => {
    for (const wrong of ['', 'x', named('0'), `${named('a')}, ${named('a')}`, named('A')])
      await fetched('http://open.example/', { traceparent: wrong, tracestate: 'x=1' }, named('b'))
    assert.deepEqual(port.traces, Array(5).fill(idOf('b')))
    assert.deepEqual(seen, Array(5).fill(undefined))
    await fetched('http://open.example/', { traceparent: 'x' })
    assert.match(port.traces.at(-1) ?? '', /^(?!x)[0-9a-f]{32}$/)
  })
})
