import assert from 'node:assert/strict'
import { MeshError, Secret } from '@clawmesh/proto'
import type { Span } from '../../../agent-sdk/src/trace/span.ts'
import {
  createSpanExporter,
  type SpanExporter,
  type SpanExporterOptions,
} from '../../../agent-sdk/src/trace/span-exporter.ts'
import { describeClosing } from '../../support/closes-everything.ts'
import { type Collector, startCollector } from '../../support/collector.ts'
import { waitFor } from '../../support/wait-for.ts'
import { mint } from '../tls/mint.ts'

const idOf = (n: number, digits: number) => (n + 1).toString(16).padStart(digits, '0')

function spanOf(n: number): Span {
  return {
    ...{ traceId: idOf(n, 32), spanId: idOf(n, 16), parentSpanId: null },
    ...{ name: `work ${n}`, kind: 'client', endMs: 1_800_000_000_123.456, durationMs: 20.5 },
    error: null,
    attributes: { text: 'ü "x"', yes: true, whole: 7, part: 0.5, none: null },
  }
}

describeClosing('spans are exported', () => {
  let collector: Collector
  let exporter: SpanExporter<Span> | null = null
  const outcomes = { exported: 0, dropped: 0 }
  const warnings: string[] = []
  beforeEach(async () => {
    collector = await startCollector()
    Object.assign(outcomes, { exported: 0, dropped: 0 })
    warnings.length = 0
  })
  afterEach(async () => {
    await exporter?.close()
    await collector.close()
    assert.deepEqual(collector.faults, [])
  })

  const open = (more: Partial<SpanExporterOptions<Span>> = {}): SpanExporter<Span> => {
    exporter = createSpanExporter<Span>({
      url: new URL(collector.url),
      spanOf: (span) => span,
      resource: { 'service.name': 'tests' },
      scope: { name: '@clawmesh/tests' },
      log: {
        warn: (fields, message) => warnings.push(`${message} ${JSON.stringify(fields)}`),
        info: (_fields, message) => warnings.push(message),
      },
      waitMs: 20,
      onOutcome: (outcome, spans) => {
        outcomes[outcome] += spans
      },
      ...more,
    })
    return exporter
  }
  const add = (to: SpanExporter<Span>, count: number, from = 0) => {
    for (let n = from; n < from + count; n += 1) to.add(idOf(n, 32), spanOf(n))
  }

  it('with ids, times to the microsecond, typed attributes, and the resource', async () => {
    const to = open()
    add(to, 1)
    to.add(idOf(1, 32), { ...spanOf(1), parentSpanId: idOf(0, 16), error: 'MESH_TASK_FAILED' })
    await waitFor('both', () => collector.spans.length === 2)
    const [first, second] = collector.spans
    assert.deepEqual(first, {
      ...{ traceId: idOf(0, 32), spanId: idOf(0, 16), parentSpanId: null, name: 'work 0', kind: 3 },
      startNs: 1_800_000_000_102_956_000n,
      endNs: 1_800_000_000_123_456_000n,
      attributes: { text: 'ü "x"', yes: true, whole: 7, part: 0.5 },
      error: null,
      resource: { 'service.name': 'tests' },
    })
    assert.equal(second?.parentSpanId, idOf(0, 16))
    assert.equal(second?.error, 'MESH_TASK_FAILED')
    assert.equal(second?.attributes['error.type'], 'MESH_TASK_FAILED')
    await waitFor('the outcome', () => outcomes.exported === 2)
    assert.equal(outcomes.dropped, 0)
  })

  it('in batches, each span once and in its order', async () => {
    const to = open()
    add(to, 1000)
    await waitFor('all', () => collector.spans.length >= 1000)
    assert.deepEqual(
      collector.spans.map(({ name }) => name),
      Array.from({ length: 1000 }, (_, n) => `work ${n}`),
    )
    assert.ok(collector.posts() <= 5, `${collector.posts()} posts`)
  })

  it('a part of them, chosen by the trace: all spans of a trace, or none', async () => {
    const to = open({ ratio: 0.25 })
    const ends = ['00000000', '3fffffff', '40000000', 'ffffffff']
    for (const end of [...ends, ...ends])
      to.add(`${'1'.repeat(24)}${end}`, { ...spanOf(1), traceId: `${'1'.repeat(24)}${end}` })
    await to.close()
    assert.deepEqual(
      collector.spans.map(({ traceId }) => traceId.slice(24)),
      [...ends.slice(0, 2), ...ends.slice(0, 2)],
    )
  })

  describe('over TLS', () => {
    const ca = mint({ name: 'collectors', pathLength: 0 })
    const pair = mint({ name: 'collector', issuer: ca, dnsNames: ['localhost'] })
    const tls = { cert: pair.pem, key: pair.keyPem }
    const token = async (ca?: string) => ({
      token: new Secret('of the agent'),
      ...(ca === undefined ? {} : { ca }),
    })

    it('to a collector that is verified, with a token that is read for each post', async () => {
      const secure = await startCollector({ tls: { ...tls, host: 'localhost' } })
      let [read, word] = [0, 'first']
      const to = open({
        url: new URL(secure.url),
        async credentials() {
          read += 1
          return { ca: ca.pem, token: new Secret(word) }
        },
      })
      add(to, 1)
      await waitFor('the first', () => secure.spans.length === 1)
      word = 'second'
      add(to, 1, 1)
      await waitFor('the second', () => secure.spans.length === 2)
      await to.close()
      assert.deepEqual(secure.authorizations, ['Bearer first', 'Bearer second'])
      assert.equal(read, 2)
      await secure.close()
    })

    it('and to none of a strange CA, or of another name: it learns no token', async () => {
      for (const [host, trust] of [
        ['localhost', undefined],
        ['127.0.0.1', ca.pem],
      ] as const) {
        const secure = await startCollector({ tls: { ...tls, host } })
        const to = open({
          ...{ url: new URL(secure.url), closeMs: 100 },
          credentials: () => token(trust),
        })
        warnings.length = 0
        add(to, 1)
        await waitFor('a warning', () => warnings.length > 0)
        await to.close()
        assert.equal(secure.posts(), 0)
        assert.match(warnings[0] ?? '', /UNABLE_TO_VERIFY|ERR_TLS_CERT_ALTNAME_INVALID/)
        await secure.close()
      }
    })

    it('and to none while its files cannot be read', async () => {
      const to = open({
        credentials: () => Promise.reject(new MeshError('MESH_CONFIG_INVALID', 'no token')),
        closeMs: 100,
      })
      add(to, 1)
      await waitFor('a warning', () => warnings.length > 0)
      assert.match(warnings[0] ?? '', /"no token"/)
      await to.close()
      assert.equal(collector.posts(), 0)
      assert.deepEqual(outcomes, { exported: 0, dropped: 1 })
    })
  })

  describe('when the collector', () => {
    it('is away: adding goes on, what does not fit is dropped, and one warning says so', async () => {
      await collector.close()
      const to = open({ maxQueue: 300, closeMs: 100 })
      add(to, 10_000)
      await waitFor('a warning', () => warnings.length > 0)
      add(to, 10_000)
      await to.close()
      assert.equal(outcomes.exported, 0)
      assert.equal(outcomes.dropped, 20_000, 'each is accounted for')
      assert.equal(warnings.length, 1)
      assert.match(warnings[0] ?? '', /^spans cannot be exported .*ECONNREFUSED/)
    })

    it('comes back: what waited arrives, once', async () => {
      let refusals = 0
      collector.answer((request, response) => {
        request.resume()
        refusals += 1
        response.writeHead(503, { 'retry-after': '0' }).end()
        if (refusals === 2) collector.answer(null)
      })
      const to = open()
      add(to, 10)
      await waitFor('all', () => collector.spans.length === 10)
      await waitFor('the outcome', () => outcomes.exported === 10)
      assert.ok(warnings.includes('spans are exported again'))
      assert.deepEqual(outcomes, { exported: 10, dropped: 0 })
    })

    it('never answers: what is added costs nothing, and close() does not wait for it', async () => {
      collector.answer((request) => void request.resume())
      const to = open({ maxQueue: 256, closeMs: 50 })
      add(to, 256)
      await waitFor('a post', () => collector.posts() === 1)
      add(to, 5_000)
      assert.equal(outcomes.dropped, 5_000 - 256)
      await to.close()
      assert.deepEqual(outcomes, { exported: 0, dropped: 5_256 })
      assert.equal(collector.posts(), 1)
    })

    it('answers too late: the post ends and is tried again', async () => {
      collector.answer((request) => {
        request.resume()
        collector.answer(null)
      })
      const to = open({ answerMs: 50 })
      add(to, 3)
      await waitFor('all', () => collector.spans.length === 3)
      assert.equal(collector.posts(), 2)
    })

    it('refuses a batch: it is not tried again', async () => {
      collector.answer((request, response) => {
        request.resume()
        response.writeHead(400).end()
        collector.answer(null)
      })
      const to = open()
      add(to, 3)
      await waitFor('the loss', () => outcomes.dropped === 3)
      add(to, 1, 3)
      await waitFor('the next one', () => collector.spans.length === 1)
      assert.equal(collector.posts(), 2)
    })

    it('takes a part of a batch: the others count as lost', async () => {
      collector.answer((request, response) => {
        request.resume()
        response.end('{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}')
      })
      const to = open()
      add(to, 5)
      await waitFor('the outcome', () => outcomes.exported === 3)
      assert.equal(outcomes.dropped, 2)
    })

    it('answers with what never ends, or redirects: it is not followed', async () => {
      collector.answer((request, response) => {
        request.resume()
        response.writeHead(307, { location: collector.url })
        response.write('x'.repeat(100_000))
      })
      const to = open()
      add(to, 1)
      await waitFor('the loss', () => outcomes.dropped === 1)
      assert.equal(collector.posts(), 1)
    })
  })

  it('at close: what waits is sent, and what comes later is not', async () => {
    const to = open({ waitMs: 60_000 })
    add(to, 700)
    await to.close()
    add(to, 5, 700)
    await to.close()
    assert.equal(collector.spans.length, 700)
    assert.deepEqual(outcomes, { exported: 700, dropped: 0 })
  })
})
