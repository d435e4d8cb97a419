/** NetworkPolicies of both charts, attacked: who reaches whom, without a firewall, with it, and with one rule removed. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { isDeepStrictEqual, promisify } from 'node:util'
import { waitFor } from '../../support/wait-for.ts'
import type { Chart, Values } from '../chart/helm.ts'
import { judgeByCyclonus } from '../policies/cyclonus.ts'
import {
  AGENT_PORT,
  DESTINATIONS,
  OPEN_WITHOUT_POLICY,
  OTHER_PORT,
  PLACES,
  SOURCES,
  type State,
  type Table,
  tableOf,
  wantedTable,
} from '../policies/who-reaches-whom.ts'
import { DNS_POD } from './dns.ts'
import { first, tell } from './figures.ts'
import { gatewayPods, gatewayValues, RELEASE } from './gateway-release.ts'
import { enter } from './node-world.ts'
import { addressOf, listenOn, type PodPlace, startPods } from './pods.ts'
import { reachedBy, reachFrom, TRY } from './reach.ts'
import { tenantValues } from './releases.ts'
import type { World } from './world.ts'

const STARTED = ['a1', 'a2', 'b1', 'stranger'] as const
/** Only what hangs takes so long. */
const POLICY_SEEN = { withinMs: 240_000, everyMs: 1_000 }

export function networkPolicies(get: () => World): void {
  describe('who reaches whom', () => {
    let pods: Readonly<Record<string, PodPlace>> = {}
    let addresses: Readonly<Record<string, string>> = {}

    before('pods of tenants, and of nobody', async () => {
      const { cluster, digest } = get()
      const script = listenOn(AGENT_PORT, OTHER_PORT)
      const started = STARTED.map((name) => ({
        name,
        namespace: namespaceOf(name),
        digest,
        script,
      }))
      await startPods(cluster, ...started)
      pods = {
        ...Object.fromEntries(started.map((pod) => [pod.name, pod])),
        ...{ dns: DNS_POD, gateway: first(await gatewayPods(cluster)) },
      }
      addresses = Object.fromEntries(
        await Promise.all(
          Object.entries(pods).map(async ([name, pod]) => [name, await addressOf(cluster, pod)]),
        ),
      )
    })

    /** By connections from within each pod, and from outside. */
    const seen = async (): Promise<Table> => {
      const { cluster } = get()
      const targets = DESTINATIONS.map(({ name, at, port }) => ({
        ...{ name, port, host: addresses[at] ?? at },
      }))
      const reached = await Promise.all(
        SOURCES.map(async (source) => {
          const pod = pods[source]
          const names =
            pod === undefined
              ? await reachedFromOutside(targets)
              : await reachFrom(cluster, pod, targets)
          return [source, names] as const
        }),
      )
      const bySource = new Map(reached)
      return tableOf((source, { name }) =>
        bySource.get(source)?.includes(name) === true ? 'open' : 'closed',
      )
    }
    const until = async (what: string, source: string, destination: string, state: State) => {
      const began = performance.now()
      await waitFor(what, async () => (await seen())[source]?.[destination] === state, POLICY_SEEN)
      tell(what, performance.now() - began)
    }
    /** A firewall changes its rules one by one: what is seen in between is of no policy. */
    const settled = async (wanted: Table): Promise<Table> => {
      await waitFor('the whole of it', async () => isDeepStrictEqual(await seen(), wanted), {
        ...{ withinMs: 60_000, everyMs: 1_000 },
      }).catch(() => {
        // what is different is told below
      })
      const table = await seen()
      assert.deepEqual(table, wanted)
      return table
    }

    it('without a firewall everybody reaches everything, but the admin port', async () => {
      const open = tableOf((_, { name }) => (name === 'gateway admin' ? 'closed' : 'open'))
      assert.deepEqual(await seen(), open)
    })

    it('with it: what the guide says, and nothing else', async () => {
      await get().cluster.startFirewall()
      await until('the firewall', 'a1', 'a2 agent', 'closed')
      const table = await settled(wantedTable())
      const closed = Object.values(table)
        .flatMap((row) => Object.values(row))
        .filter(isClosed)
      process.stderr.write(`      ways closed by NetworkPolicies: ${closed.length}\n`)
    })

    it('and so does cyclonus judge the policies that the API server has', async () => {
      const { kubectl } = get().cluster
      const args = ['get', 'networkpolicies', '--all-namespaces', '-o', 'json']
      const { items } = JSON.parse(await kubectl(...args))
      assert.deepEqual(await judgeByCyclonus(items), wantedTable())
    })

    it('without the policy of a tenant: its pods get out and are reached, and others are not', async () => {
      const { cluster } = get()
      await cluster.kubectl('delete', 'networkpolicy', '-n', 'acme', 'clawmesh-agents')
      await until('a policy that goes', 'a1', 'outside 80', 'open')
      await settled(wantedTable(OPEN_WITHOUT_POLICY))
      // the release still has it: an upgrade puts it back
      await upgrade('tenant-acme', 'clawmesh-tenant', tenantValues('acme'))
      await until('a policy that comes', 'a1', 'outside 80', 'closed')
      await settled(wantedTable())
    })

    it('without the rule for the outside: the gateway reaches agents and DNS alone', async () => {
      const values = gatewayValues(get().digest)
      const shut = { ...values, networkPolicy: { outside: { cidrs: [] } } }
      await upgrade(RELEASE, 'clawmesh-gateway', shut)
      await until('a rule that goes', 'gateway', 'outside 80', 'closed')
      const gateway = ['a1 agent', 'a2 agent', 'b1 agent', 'dns']
      await settled(wantedTable({ gateway }))
      await upgrade(RELEASE, 'clawmesh-gateway', values)
      await until('a rule that comes', 'gateway', 'outside 80', 'open')
    })

    const upgrade = async (name: string, chart: Chart, values: Values) => {
      const ran = await get().cluster.release('upgrade', name, chart, values)
      assert.equal(ran.code, 0, ran.stderr)
    }
  })
}

function namespaceOf(name: string): string {
  const place = PLACES[name]
  if (place === undefined) throw new TypeError(name)
  return place.namespace
}

function isClosed(state: State): boolean {
  return state === 'closed'
}

async function reachedFromOutside(targets: readonly object[]): Promise<readonly string[]> {
  const [program = '', ...args] = [
    ...[...enter('outside'), process.execPath, '--input-type=module', '--eval', TRY],
    JSON.stringify(targets),
  ]
  return reachedBy((await promisify(execFile)(program, args)).stdout)
}
