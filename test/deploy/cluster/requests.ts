/** Requests through the egress port from within a pod, each over a connection of its own. */
import assert from 'node:assert/strict'
import { OUTSIDE_ADDRESS } from '../policies/addresses.ts'
import type { Cluster } from './cluster.ts'
import { SERVICE_ADDRESS } from './gateway-release.ts'
import { PAGE_PORT } from './outside.ts'
import { nodeIn, type PodPlace } from './pods.ts'

export const THROUGH_SERVICE = { gateway: `${SERVICE_ADDRESS}:8080` }

export interface Requests {
  readonly gateway: string
  readonly token: string
  readonly path: '/quick' | '/slow'
  /** How many at once. */
  readonly width: number
  /** Milliseconds in which new ones begin. */
  readonly forMs: number
}

interface Outcome {
  /** By status, with the length of the body, `200 4`, or the code of the refusal, `403 MESH_…`; else the error. */
  readonly [what: string]: number
}

/** Prints an Outcome. */
const REQUESTS = `import { request } from 'node:http'
const { gateway, token, path, width, forMs } = JSON.parse(process.argv[1])
const outcome = {}
const one = () => new Promise((resolve) => {
  const end = (what) => { outcome[what] = (outcome[what] ?? 0) + 1; resolve() }
  const [host, port] = gateway.split(':')
  const sent = request({
    host, port, agent: false, path: 'http://${OUTSIDE_ADDRESS}:${PAGE_PORT}' + path,
    headers: { host: '${OUTSIDE_ADDRESS}', 'proxy-authorization': 'Bearer ' + token },
  }, (response) => {
    let text = ''
    response.setEncoding('latin1').on('data', (chunk) => { text += chunk })
    const said = () => response.statusCode < 400 ? text.length : /MESH_[A-Z_]+/.exec(text)?.[0]
    response.on('end', () => end(response.statusCode + ' ' + said())).on('error', (error) => end(error.code))
  })
  sent.on('error', (error) => end(error.code)).end()
})
const until = Date.now() + forMs
await Promise.all(Array.from({ length: width }, async () => {
  do { await one() } while (Date.now() < until)
}))
console.log(JSON.stringify(outcome))`

/** Sends them from within that pod. */
export async function send(
  cluster: Pick<Cluster, 'kubectl'>,
  from: PodPlace,
  asked: Requests,
): Promise<Outcome> {
  return JSON.parse(await nodeIn(cluster, from, REQUESTS, JSON.stringify(asked)))
}

/** Through the Service, four quick ones at a time, until they are stopped. */
export function keepSending(cluster: Pick<Cluster, 'kubectl'>, from: PodPlace, token: string) {
  const asked = { ...THROUGH_SERVICE, token, path: '/quick', width: 4, forMs: 5_000 } as const
  let stopped = false
  const all: Record<string, number> = {}
  const running = (async () => {
    while (!stopped)
      for (const [what, count] of Object.entries(await send(cluster, from, asked)))
        all[what] = (all[what] ?? 0) + count
  })()
  return {
    async stop(): Promise<Outcome> {
      stopped = true
      await running
      return all
    },
  }
}

/** What came of requests of which none may fail. Tells how many they were. */
export function assertAllServed(outcome: Outcome): void {
  const { '200 4': served = 0, ...others } = outcome
  assert.deepEqual(others, {})
  assert.ok(served > 0)
  process.stderr.write(`      requests meanwhile: ${served}, none failed\n`)
}
