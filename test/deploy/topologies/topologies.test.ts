/**
 * What each topology of docs/guides/production.md adds to a request and to a delegated call, and what a gateway carries
 * within the limits of the sidecar. Prints a table of each; not in CI, where figures are those of a busy machine.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { quantile } from '../../../bench/measure/statistics.ts'
import { isRecord } from '../../../scripts/dev/message.ts'
import { waitFor } from '../../support/wait-for.ts'
import {
  allowOutside,
  GATEWAY,
  OUTSIDE,
  REFERENCE,
  type Stack,
  startStack,
} from '../compose/stack.ts'
import { ALONE, PROXY, startGateways, tokenOfGateways } from './gateways.ts'

const MEASURE = new URL('measure.mjs', import.meta.url)
const ECHO = fileURLToPath(new URL('../../../bench/backends/grpc-echo.ts', import.meta.url))
const NAME = 'gateway.mesh.internal'
const PEER = 'bot-02.acme.mesh.internal'
/** A container with a way out of its own. */
const OUTSIDER = 'outsider'
/** What is printed is the median: the machine may be busy in one of them. */
const ROUNDS = 3
/** An agent that is busy. */
const PER_SECOND = 100
const WINDOW_MS = 3_000
/** By then V8 has compiled most of what it will. */
const WARM = 2_000

interface Way {
  readonly name: string
  /** Where it is asked from: a container, or the machine of the engine. */
  readonly from: string | null
  /** What is subtracted. Null: nothing. */
  readonly direct: string | null
  readonly request: object
  readonly call: object
}

interface Seen {
  readonly perSecond: number
  readonly failed: number
  readonly p50Ms: number
  readonly p99Ms: number
}

describe('the topologies', () => {
  let stack: Stack
  let ways: readonly Way[]
  before('all of them are up', async function () {
    this.timeout(900_000)
    stack = await startStack('docker')
    await stack.ready()
    ways = await waysOf(stack)
    await waitFor('calls through the sidecar', async () => {
      const seen = await measure(way('sidecar'), 'call', { perSecond: 20, warm: 1, ms: 100 })
      return seen.failed === 0
    })
  })
  after('they are down', async function () {
    this.timeout(120_000)
    if (stack === undefined) return
    await stack.engine.client('rm', '-f', OUTSIDER)
    await stack.close()
  })

  const way = (name: string) => {
    const found = ways.find((each) => each.name === name)
    assert.ok(found !== undefined)
    return found
  }

  async function measure(
    { from, ...of }: Way,
    what: 'request' | 'call',
    how: { readonly perSecond: number | null; readonly warm: number; readonly ms: number },
  ): Promise<Seen> {
    const asked = { way: of[what], atOnce: 16, ...how }
    if (from !== null) return seenIn(await stack.inside(from, MEASURE, asked))
    const node = [process.execPath, '--input-type=module', '-e', await readFile(MEASURE, 'utf8')]
    return seenIn(JSON.parse(await stack.engine.outside(...node, JSON.stringify(asked))))
  }

  it('adds so much to a request and to a call', async function () {
    this.timeout(600_000)
    for (const what of ['request', 'call'] as const) {
      const rounds: Record<string, Seen>[] = []
      for (let round = 0; round < ROUNDS; round += 1) {
        const seen: Record<string, Seen> = {}
        for (const each of ways) {
          const how = { perSecond: PER_SECOND, warm: round === 0 ? WARM : 200, ms: WINDOW_MS }
          seen[each.name] = await measure(each, what, how)
          assert.equal(seen[each.name]?.failed, 0, each.name)
        }
        rounds.push(seen)
      }
      say(`a ${what}, ${PER_SECOND} a second`, 'p50', 'p99', 'added p50', 'added p99')
      for (const { name, direct } of ways) {
        const of = (key: 'p50Ms' | 'p99Ms', less: string | null) =>
          median(rounds.map((seen) => (seen[name]?.[key] ?? 0) - (seen[less ?? '']?.[key] ?? 0)))
        const all = [of('p50Ms', null), of('p99Ms', null)]
        const added = direct === null ? [] : [of('p50Ms', direct), of('p99Ms', direct)]
        say(name, ...[...all, ...added].map((ms) => `${ms.toFixed(2)} ms`))
      }
    }
  })

  it('carries so much within 256 MB and half a core', async function () {
    this.timeout(600_000)
    const { pid } = await stack.ready()
    say('the sidecar, 16 at once', 'a second', 'p50', 'p99', 'resident')
    for (const what of ['request', 'call'] as const) {
      const how = { perSecond: null, warm: WARM, ms: 10_000 }
      const seen = await measure(way('sidecar'), what, how)
      assert.equal(seen.failed, 0)
      const status = await readFile(`/proc/${pid}/status`, 'utf8')
      const resident = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024
      say(
        ...[`${what}s`, seen.perSecond.toFixed(0)],
        ...[`${seen.p50Ms.toFixed(1)} ms`, `${seen.p99Ms.toFixed(1)} ms`],
        `${resident.toFixed(0)} MiB`,
      )
    }
  })
})

/** All ways lead to the same page and the same peer. */
async function waysOf(stack: Stack): Promise<readonly Way[]> {
  const port = await startPeer(stack)
  const { dir, engine } = stack
  await startGateways(stack)
  const agent = await stack.id('agent')
  const identities = ['-v', `${dir}/gateway/identity:/etc/clawmesh:ro`]
  const idle = ['-e', 'setInterval(() => {}, 1000)']
  await engine.client(
    ...['run', '-d', '--name', OUTSIDER, '--network', 'mesh_outside', ...identities],
    ...['--entrypoint', '/usr/bin/node', REFERENCE, ...idle],
  )
  const page = 'http://outside.test/'
  const direct = (identity: string) => ({
    request: { plane: 'egress', host: OUTSIDE, port: 80, path: '/' },
    // the peer takes a gateway and nobody else
    call: {
      ...{ plane: 'delegation', host: OUTSIDE, port },
      serverName: PEER,
      authority: PEER,
      identity,
    },
  })
  const through = (host: string, token: string, identity: string) => ({
    request: {
      ...{ plane: 'egress', host, port: 8080, path: page, token },
      ...{ ca: `${identity}/ca.crt`, serverName: NAME },
    },
    call: {
      ...{ plane: 'delegation', host, port: 8443 },
      serverName: NAME,
      authority: PEER,
      identity,
    },
  })
  const token = await tokenOfGateways(stack)
  const [inside, own] = ['/etc/clawmesh', `${dir}/agent`]
  const hostDirect = 'on the machine, direct'
  return [
    { name: 'in containers, direct', from: OUTSIDER, direct: null, ...direct(inside) },
    {
      ...{ name: 'sidecar', from: agent, direct: 'in containers, direct' },
      ...through(GATEWAY, await stack.token(), inside),
    },
    { name: hostDirect, from: null, direct: null, ...direct(`${dir}/gateway/identity`) },
    { name: 'one process', from: null, direct: hostDirect, ...through(ALONE, token, own) },
    { name: 'behind HAProxy', from: null, direct: hostDirect, ...through(PROXY, token, own) },
  ]
}

/** An echo of gRPC on the machine, that the gateways know, and to which bot-01 may go as often as it wants. */
async function startPeer(stack: Stack): Promise<number> {
  const { dir } = stack
  const issue = ['issue', 'agent', '--tenant', 'acme', '--agent', 'bot-02', '--out', 'peer']
  await promisify(execFile)('mesh-pki', issue, { cwd: dir, env: await stack.shellEnv() })
  const { first } = await stack.engine.serveOutside(
    process.execPath,
    ECHO,
    join(dir, 'peer'),
    OUTSIDE,
  )
  const { port } = JSON.parse(first)
  const config = JSON.parse(await readFile(join(dir, 'gateway/gateway.json'), 'utf8'))
  config.delegation.peers = { [PEER]: `${OUTSIDE}:${port}` }
  await writeFile(join(dir, 'gateway/gateway.json'), JSON.stringify(config))
  await allowOutside(dir)
  const file = join(dir, 'gateway/policy/acme.json')
  const policy = JSON.parse(await readFile(file, 'utf8'))
  policy.delegation = {
    allow: [{ from: 'bot-01', to: 'bot-02' }],
    limits: { callsPerMinute: 1_000_000, concurrentStreams: 10_000 },
  }
  await writeFile(file, JSON.stringify(policy))
  return port
}

function seenIn(answer: unknown): Seen {
  assert.ok(isRecord(answer))
  const { perSecond, failed, p50Ms, p99Ms } = answer
  return {
    ...{ perSecond: Number(perSecond), failed: Number(failed) },
    ...{ p50Ms: Number(p50Ms), p99Ms: Number(p99Ms) },
  }
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

function say(first: string, ...rest: readonly string[]): void {
  process.stdout.write(`    ${first.padEnd(32)}${rest.map((each) => each.padStart(12)).join('')}\n`)
}
