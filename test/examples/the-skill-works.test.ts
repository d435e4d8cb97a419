/** examples/skill as it stands: its own tests, and its two agents as processes on a mesh. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RunningProcess } from '../../scripts/dev/child-process.ts'
import { run } from '../pki/run.ts'
import { describeClosing } from '../support/closes-everything.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { linesOf, ROOT, servingPort, startExample } from './run-example.ts'

const TEXT = 'Lima is the capital of Peru. It has ten million people. It lies by the sea.'

describeClosing('the example of a skill', function () {
  this.timeout(180_000)
  let mesh: Mesh
  let researcher: RunningProcess
  let file: string

  before(async () => {
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'researcher' }] } } },
    })
    file = join(mesh.dir, 'text.txt')
    await writeFile(file, TEXT)
    researcher = startExample('examples/skill/researcher.ts', [
      ...[await mesh.identity('acme', 'researcher'), mesh.gateway.delegation, '127.0.0.1:0'],
    ])
    mesh.announce('acme', 'researcher', await servingPort(researcher))
  })
  after(async () => {
    await researcher?.stop(10_000)
    await mesh?.close()
  })

  const plan = async (agent: string, ...more: readonly string[]) => {
    const identity = await mesh.identity('acme', agent)
    const planner = startExample('examples/skill/planner.ts', [
      ...[identity, mesh.gateway.delegation, file, ...more],
    ])
    const { code } = await planner.ended
    return { code, said: linesOf(planner) }
  }

  it('passes its own tests, which need no mesh', async () => {
    const { code, stdout, stderr } = await run(process.execPath, [
      ...['--test', fileURLToPath(new URL('examples/skill/researcher.test.ts', ROOT))],
    ])
    assert.equal(code, 0, stdout + stderr)
    assert.match(stdout, /\bpass 5\b/)
  })

  it('has its question answered, and its file and result printed', async () => {
    const { code, said } = await plan('planner')
    assert.equal(code, 0, said)
    assert.deepEqual(said.split('\n').filter(Boolean), [
      'researcher can summarize: Keeps the first sentences of a text. Asks how many, unless `sentences` says it.',
      'researcher is reading',
      'Lima is the capital of Peru.',
      'It has ten million people.',
      '{ sentences: 2, words: 11 }',
    ])
    await mesh.auditLine('the delegation', (line) => line.agent_id === 'planner')
  })

  it('says the code when an answer is not taken, and when policy refuses', async () => {
    const rejected = await plan('planner', 'some')
    assert.equal(rejected.code, 1)
    assert.match(rejected.said, /^MESH_TASK_REJECTED: .*no number of sentences/m)
    const intruder = await plan('intruder')
    assert.equal(intruder.code, 1)
    assert.match(intruder.said, /^MESH_POLICY_NOT_ALLOWED: /m)
  })

  it('ends when it is asked to', async () => {
    assert.deepEqual(await researcher.stop(20_000), { code: 0, signal: null })
  })
})
