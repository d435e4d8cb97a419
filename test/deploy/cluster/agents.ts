/** Agents of the tenant acme as pods, with the SDK of the image: one that serves, and one that calls it without end. */
import assert from 'node:assert/strict'
import { waitFor } from '../../support/wait-for.ts'
import type { Cluster } from './cluster.ts'
import { SERVICE_ADDRESS } from './gateway-release.ts'
import { nodeIn, type PodPlace, startPods } from './pods.ts'

export const RESEARCHER: PodPlace = { namespace: 'acme', name: 'researcher' }
export const PLANNER: PodPlace = { namespace: 'acme', name: 'planner' }
/** Of the Service of the researcher, as DNS has it. */
export const RESEARCHER_ADDRESS = '10.96.0.77'
const AGENT_PORT = 7443
const COUNTS_PORT = 8099

interface Calls {
  readonly done: number
  /** Why calls failed, with how many of them. */
  readonly failed: Readonly<Record<string, number>>
}

const SDK = `import { createRequire } from 'node:module'
const { createAgent, silentLog } = createRequire('/app/it.js')('@clawmesh/agent-sdk')
const agent = await createAgent({ gateway: '${SERVICE_ADDRESS}:8443', identity: '/identity', log: silentLog })
process.on('SIGTERM', async () => { await agent.close(); process.exit(0) })`

const SERVE = `${SDK}
await agent.serve({ listen: '0.0.0.0:${AGENT_PORT}', skills: { echo: (task) => task.text() } })`

/** Four calls at a time, each with a line of its own, counted. */
const CALL = `import { createServer } from 'node:http'
${SDK}
const counts = { done: 0, failed: {} }
createServer((request, response) => response.end(JSON.stringify(counts))).listen(${COUNTS_PORT}, '127.0.0.1')
for (const row of [1, 2, 3, 4]) (async () => {
  for (let at = 0; ; at += 1) {
    try {
      const input = row + ' ' + at
      const result = await agent.delegate('researcher', { skill: 'echo', input }).result()
      if (result.text() !== input) throw new Error('it answered ' + result.text())
      counts.done += 1
    } catch (error) {
      const why = (error.code ?? '') + ' ' + error.message
      counts.failed[why] = (counts.failed[why] ?? 0) + 1
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
})()`

/**
 * Resolves when calls succeed.
 * @param identityOf the source of the volume with the identity of an agent. Default: the Secret NAME-identity
 */
export async function startAgents(
  cluster: Cluster,
  digest: string,
  identityOf: (name: string) => object = ofSecret,
): Promise<void> {
  const { namespace, name } = RESEARCHER
  await cluster.apply({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace, name } },
    spec: {
      ...{ clusterIP: RESEARCHER_ADDRESS, selector: { agent: name } },
      ports: [{ port: AGENT_PORT }],
    },
  })
  for (const [place, script] of [
    [RESEARCHER, SERVE],
    [PLANNER, CALL],
  ] as const)
    await startPods(cluster, {
      ...{ ...place, digest, script, labels: { agent: place.name } },
      volumes: [{ name: 'identity', mountPath: '/identity', source: identityOf(place.name) }],
    })
  await waitFor(
    'calls that succeed',
    // it may not listen yet
    async () => ((await callsSoFar(cluster).catch(() => null))?.done ?? 0) > 0,
    { withinMs: 120_000, everyMs: 1_000 },
  )
}

function ofSecret(name: string): object {
  return { secret: { secretName: `${name}-identity`, defaultMode: 0o400 } }
}

async function callsSoFar(cluster: Cluster): Promise<Calls> {
  const script = `console.log(await (await fetch('http://127.0.0.1:${COUNTS_PORT}')).text())`
  return JSON.parse(await nodeIn(cluster, PLANNER, script))
}

/** Delegated calls run all the while, and every one of them succeeds. */
export async function whileCalling(cluster: Cluster, change: () => Promise<void>): Promise<void> {
  const before = await callsSoFar(cluster)
  await change()
  const { done, failed } = await callsSoFar(cluster)
  assert.deepEqual(failed, before.failed)
  assert.ok(done > before.done)
  process.stderr.write(`      delegated calls meanwhile: ${done - before.done}, none failed\n`)
}
