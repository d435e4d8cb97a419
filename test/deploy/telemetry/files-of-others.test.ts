/** The files for Vector and Fluent Bit, which no test runs: they are YAML, and say what the two shippers that run say. */
import assert from 'node:assert/strict'
import { load } from 'js-yaml'
import { shipped } from '../shipped.ts'

const FIELDS = [
  ...['_msg', 'source', 'offset', 'agent_id', 'trace_id', 'openclaw_agent_id'],
  ...['session_id', 'channel', 'hostname'],
]

/** Patterns of the logs, and where they go, that all four must have. */
const PLACES = [
  '/var/log/clawmesh/audit.lo',
  '/var/log/clawmesh/drops.json',
  '/tmp/openclaw/openclaw-*.log',
]

describe('deploy/telemetry', () => {
  for (const file of ['otel-collector.yaml', 'rsyslog.conf', 'vector.yaml', 'fluent-bit.yaml'])
    it(`reads the same logs with ${file}, and sends them to the same store`, async () => {
      const text = await shipped(`telemetry/${file}`)
      for (const place of PLACES) assert.ok(text.includes(place), `${file} has no ${place}`)
      assert.match(text, /9428/)
      for (const source of ['gateway', 'drops', 'openclaw']) assert.ok(text.includes(source))
      assert.ok(text.includes('MESH_AGENT_ID'))
      // the Collector's body is _msg in the store
      for (const field of FIELDS.slice(file === 'otel-collector.yaml' ? 1 : 0))
        assert.ok(text.includes(field), `${file} has no ${field}`)
    })

  it('has YAML for Vector: each transform and sink has inputs that are there', async () => {
    const config = recordOf(load(await shipped('telemetry/vector.yaml')))
    const sections = ['sources', 'transforms', 'sinks'].map((name) => recordOf(config[name]))
    const names = new Set(sections.slice(0, 2).flatMap((section) => Object.keys(section)))
    for (const section of sections.slice(1))
      for (const [name, value] of Object.entries(section)) {
        const { inputs } = recordOf(value)
        assert.ok(Array.isArray(inputs) && inputs.length > 0, name)
        for (const input of inputs)
          assert.ok(names.has(String(input)), `${name} has no input ${input}`)
      }
    for (const value of Object.values(recordOf(config.transforms)))
      assert.equal(typeof recordOf(value).source, 'string')
  })

  it('has YAML for Fluent Bit: each filter has a parser and a tag that are there', async () => {
    const config = recordOf(load(await shipped('telemetry/fluent-bit.yaml')))
    const pipeline = recordOf(config.pipeline)
    const tags = new Set(listOf(pipeline.inputs).map(({ tag }) => tag))
    const parsers = new Set(listOf(config.parsers).map(({ name }) => name))
    assert.deepEqual(tags, new Set(['gateway', 'drops', 'openclaw']))
    for (const { match, parser } of listOf(pipeline.filters)) {
      assert.ok(tags.has(String(match)), String(match))
      assert.ok(parser === undefined || parsers.has(parser), String(parser))
    }
  })
})

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  assert.ok(typeof value === 'object' && value !== null && !Array.isArray(value))
  return Object.fromEntries(Object.entries(value))
}

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  assert.ok(Array.isArray(value))
  return value.map(recordOf)
}
