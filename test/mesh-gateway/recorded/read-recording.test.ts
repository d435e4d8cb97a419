import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { readLines } from '../../../mesh-gateway/src/recorded/read-lines.ts'
import { readRecording } from '../../../mesh-gateway/src/recorded/read-recording.ts'
import { agentNames, type RecordedCase } from '../../../mesh-gateway/src/recorded/recorded-case.ts'
import { policyOf } from '../policy/policies.ts'
import { egressLine } from './records.ts'

const LINE = egressLine(
  {
    agent: { tenant: 'acme', agent: 'bot' },
    host: 'c.test',
    port: 443,
    request: null,
    ip: '93.184.216.34',
    actors: null,
  },
  policyOf({ acme: { egress: { allow: ['c.test'] } } }),
)

describe('the reading of an audit log', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-recorded-'))
  })
  after(() => rm(dir, { recursive: true }))

  const read = async (content: string) => {
    const file = join(dir, 'audit.log')
    await writeFile(file, content)
    const cases: RecordedCase[] = []
    const counts = await readRecording(file, agentNames(), (one) => cases.push(one))
    return { cases, counts }
  }

  it('counts what is foreign, and uses a last line that lacks its line feed only', async () => {
    const own = JSON.stringify({ ...JSON.parse(LINE), destination_host: null, path: '/v1/token' })
    const { cases, counts } = await read(
      [LINE, 'hello', '{}', '[]', 'null', '', own, LINE.replace('c.test', 'no host'), LINE].join(
        '\n',
      ),
    )
    assert.equal(cases.length, 2)
    assert.deepEqual(counts, {
      records: 3,
      notOfPolicy: 1,
      foreignLines: 5,
      tornLastLine: false,
    })
  })

  it('counts what was open for long once: by its end, or by its opening when the gateway did not live to see it', async () => {
    const line = (change: object) => JSON.stringify({ ...JSON.parse(LINE), ...change })
    const opened = (id: string) => line({ phase: 'open', open_id: id, status: null })
    const ended = (id: string) => line({ phase: 'end', open_id: id, status: 200 })
    const own = line({ destination_host: null, phase: 'open', open_id: 'own' })
    const log = [opened('a'), opened('b'), ended('a'), LINE, ended('of-an-older-log'), own]
    const { cases, counts } = await read(`${log.join('\n')}\n`)
    assert.equal(cases.length, 4)
    assert.deepEqual(counts, { records: 5, notOfPolicy: 1, foreignLines: 0, tornLastLine: false })
  })

  it('says that the last line is torn, and uses the others', async () => {
    const { cases, counts } = await read(`${LINE}\n${LINE.slice(0, 60)}`)
    assert.equal(cases.length, 1)
    assert.equal(counts.tornLastLine, true)
    assert.equal(counts.foreignLines, 0)
  })

  it('passes over a line that is longer than any record', async () => {
    const { cases, counts } = await read(`"${'x'.repeat(3_000_000)}"\n${LINE}\n`)
    assert.equal(cases.length, 1)
    assert.equal(counts.foreignLines, 1)
  })

  it('takes no agent from names that are none', async () => {
    const wrong = [
      { tenant: '../etc' },
      { chain: ['spiffe://mesh.internal/gateway/gw'] },
      { chain: 'acme' },
      { destination_port: '443' },
      { destination_port: 0 },
      { action_allowed: 'true' },
      { event: 'login' },
    ]
    const lines = wrong.map((change) => JSON.stringify({ ...JSON.parse(LINE), ...change }))
    const { cases } = await read(`${lines.join('\n')}\n`)
    assert.deepEqual(cases, [])
  })

  it('cuts lines where they end, however the stream is cut', async () => {
    for (const step of [1, 2, 3, 7]) {
      const bytes = Buffer.from('aä\n\nlonger than ten\nz')
      async function* pieces() {
        for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
      }
      const lines = []
      for await (const line of readLines(pieces(), 10)) lines.push(line)
      assert.deepEqual(lines, [
        { text: 'aä', whole: true },
        { text: '', whole: true },
        { text: null, whole: true },
        { text: 'z', whole: false },
      ])
    }
  })

  it('says why a file cannot be read', async () => {
    await assert.rejects(
      readRecording(join(dir, 'nowhere'), agentNames(), () => {}),
      (error) => error instanceof MeshError && error.code === 'MESH_AUDIT_UNREADABLE',
    )
    await assert.rejects(
      readRecording(dir, agentNames(), () => {}),
      /EISDIR/,
    )
  })
})
