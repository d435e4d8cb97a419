/** The planner: gives a file to the researcher. `node planner.ts IDENTITY GATEWAY FILE [SENTENCES]` prints the summary. */
import { readFile } from 'node:fs/promises'
import { createAgent, MeshError } from '@clawmesh/agent-sdk'

const [identity = '', gateway = '', file = '', sentences = '2'] = process.argv.slice(2)
const agent = await createAgent({ identity, gateway })
try {
  for (const { name, description } of await agent.describe('researcher'))
    console.log(`researcher can ${name}: ${description}`)

  const delegation = agent.delegate('researcher', {
    skill: 'summarize',
    input: { text: await readFile(file, 'utf8') },
    deadlineMs: 60_000,
  })
  for await (const event of delegation) {
    if (event.kind === 'progress') console.log(`researcher is ${event.note}`)
    if (event.kind === 'input-required') await delegation.sendInput(sentences, event.inputId)
  }

  const result = await delegation.result()
  const summary = result.artifacts.get('summary.txt')
  console.log(Buffer.from(summary?.bytes ?? []).toString())
  console.log(result.json())
} catch (error) {
  if (!(error instanceof MeshError)) throw error
  console.error(`${error.code}: ${error.message}`)
  if (error.hint) console.error(`hint: ${error.hint}`)
  process.exitCode = 1
} finally {
  await agent.close()
}
