/** Tests of the skill, without a mesh, by Node's own runner: `node --test researcher.test.ts`. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createTestMesh } from '@clawmesh/agent-sdk/testing'
import { summarize } from './researcher.ts'

const text = 'Lima is the capital of Peru. It has ten million people. It lies by the sea.'

const mesh = createTestMesh()
after(() => mesh.close())
await mesh.agent('researcher').serve({ skills: { summarize } })
const planner = mesh.agent('planner')

test('it keeps as many sentences as the caller says', async () => {
  const input = { text, sentences: 1 }
  const result = await planner.delegate('researcher', { skill: 'summarize', input }).result()
  assert.deepEqual(result.json(), { sentences: 1, words: 6 })
  const summary = result.artifacts.get('summary.txt')
  assert.equal(Buffer.from(summary?.bytes ?? []).toString(), 'Lima is the capital of Peru.\n')
})

test('it asks how many when the caller does not say', async () => {
  const delegation = planner.delegate('researcher', { skill: 'summarize', input: { text } })
  for await (const event of delegation)
    if (event.kind === 'input-required') await delegation.sendInput('2', event.inputId)
  assert.deepEqual((await delegation.result()).json(), { sentences: 2, words: 11 })
})

test('it rejects an answer that is no number', async () => {
  const delegation = planner.delegate('researcher', { skill: 'summarize', input: { text } })
  for await (const event of delegation)
    if (event.kind === 'input-required') await delegation.sendInput('some', event.inputId)
  await assert.rejects(delegation.result(), { code: 'MESH_TASK_REJECTED' })
})

test('input that is not as described never reaches it', async () => {
  const wrong = planner.delegate('researcher', { skill: 'summarize', input: { text: '' } })
  await assert.rejects(wrong.result(), { code: 'MESH_TASK_INPUT_INVALID' })
})

test('the caller learns it when policy refuses', async () => {
  const allow = mesh.refuse(() => 'MESH_POLICY_NOT_ALLOWED')
  const refused = planner.delegate('researcher', { skill: 'summarize', input: { text } })
  await assert.rejects(refused.result(), { code: 'MESH_POLICY_NOT_ALLOWED' })
  allow()
})
