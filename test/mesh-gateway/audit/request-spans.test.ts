/** The names of the gateway's spans, which a client must not be able to make up. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { silentLog } from '@clawmesh/agent-sdk'
import type { AuditRecord } from '../../../mesh-gateway/src/audit/audit-record.ts'
import { createRequestSpans } from '../../../mesh-gateway/src/audit/request-spans.ts'
import { withImplied } from '../../../mesh-gateway/src/policy/decide/task-methods.ts'
import { type Collector, startCollector } from '../../support/collector.ts'
import { SAMPLE_DELEGATION, SAMPLE_EGRESS } from './sample-records.ts'

const OWN = ['clawmesh/delegation/v1/delegation.proto', 'clawmesh/mesh/v1/mesh.proto']

/** `package.Service/Method` */
async function methodsOf(file: string): Promise<readonly string[]> {
  const text = await readFile(new URL(`../../../proto/${file}`, import.meta.url), 'utf8')
  const [, name] = /^package (\S+);/m.exec(text) ?? []
  const [, service] = /^service (\w+)/m.exec(text) ?? []
  return [...text.matchAll(/^ {2}rpc (\w+)/gm)].map(([, method]) => `${name}.${service}/${method}`)
}

describe('spans of the gateway', () => {
  let collector: Collector
  beforeEach(async () => {
    collector = await startCollector()
  })
  afterEach(() => collector.close())

  const spansOf = async (records: readonly AuditRecord[]) => {
    const spans = createRequestSpans(
      { url: collector.url, caFile: null, tokenFile: null, ratio: 1 },
      {
        identity: { current: () => ({ identity: { id: 'spiffe://mesh.internal/gateway/gw' } }) },
        ...{ metrics: { spans() {} }, log: silentLog },
      },
    )
    assert.ok(spans !== null)
    const ids = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), parentSpanId: null }
    for (const record of records) spans.ended(ids, record)
    await spans.close()
    assert.deepEqual(collector.faults, [])
    return collector.spans
  }
  const calls = (methods: readonly string[]) =>
    spansOf(methods.map((grpc_method) => ({ ...SAMPLE_DELEGATION, grpc_method })))

  it('have few names, whatever methods clients make up', async () => {
    const made = Array.from({ length: 50 }, (_, n) => `made.Up/Method${n}`)
    const spans = await calls(made)
    assert.deepEqual([...new Set(spans.map(({ name }) => name))], ['grpc'])
    const methods = new Set(spans.map(({ attributes }) => attributes['rpc.method']))
    assert.deepEqual([...methods], ['_OTHER'])
    assert.deepEqual(
      spans.map(({ attributes }) => attributes['rpc.method_original']),
      made,
    )
    const egress = await spansOf([{ ...SAMPLE_EGRESS, method: 'MADEUP' }])
    assert.equal(egress.at(-1)?.name, 'egress _OTHER')
  })

  it('are named by every method of Clawmesh, of A2A, and of gRPC itself', async () => {
    const own = (await Promise.all(OWN.map(methodsOf))).flat()
    assert.equal(own.length, 12)
    const a2a = ['lf.a2a.v1.A2AService', 'a2a.v1.A2AService'].flatMap(
      (service) => withImplied([`${service}/SendMessage`, `${service}/SendStreamingMessage`]) ?? [],
    )
    const grpc = [
      'grpc.health.v1.Health/Check',
      'grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    ]
    const known = [...own, ...a2a, ...grpc, 'mcp', 'mcp/tools/call']
    const spans = await calls(known)
    assert.deepEqual(
      spans.map(({ name, attributes }) => [name, attributes['rpc.method']]),
      known.map((method) => [method, method]),
    )
  })
})
