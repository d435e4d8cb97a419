/** The gateway of the cluster: its Secrets, its release, and what it says of itself. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeKeyRing } from '../../mesh-gateway/tokens/make-key-ring.ts'
import type { TestCa } from '../../support/test-ca.ts'
import { waitFor } from '../../support/wait-for.ts'
import { NAMESPACE } from '../api-server/commands.ts'
import type { Values } from '../chart/helm.ts'
import type { Cluster } from './cluster.ts'
import { IMAGE, nodeIn, type PodPlace } from './pods.ts'

export const RELEASE = 'mesh'
/** Fixed, since agents ask no DNS. */
export const SERVICE_ADDRESS = '10.96.0.99'

const PODS = 'app.kubernetes.io/name=clawmesh-gateway'

/** Those that the gateway names. The last one has no policy. */
export const TENANTS = ['acme', 'globex', 'initech'] as const

export function gatewayValues(digest: string): Values {
  return {
    image: { repository: IMAGE, digest },
    trustDomain: 'mesh.internal',
    identity: { secretName: 'gateway-identity' },
    signingKeys: { secretName: 'gateway-keys' },
    service: { clusterIP: SERVICE_ADDRESS },
    resources: {
      ...{ requests: { cpu: '50m', memory: '128Mi' }, limits: { cpu: '1', memory: '512Mi' } },
    },
    // both pods are on the one node
    topologySpread: { enabled: false },
    // the world outside of this test
    policy: { global: { egress: { allowCidrs: ['192.0.2.0/24'] } } },
    tenants: Object.fromEntries(TENANTS.map((name) => [name, {}])),
  }
}

/** A namespace that enforces PodSecurity, and the Secrets that the chart names. */
export async function prepareNamespace(cluster: Cluster, ca: TestCa): Promise<void> {
  const keys = join(ca.dir, 'keys')
  await makeKeyRing(keys)
  const identity = await ca.gatewayDir({ name: 'gw', tenants: [...TENANTS] })
  await cluster.apply(
    {
      ...{ apiVersion: 'v1', kind: 'Namespace' },
      metadata: {
        name: NAMESPACE,
        labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
      },
    },
    await secretOf('gateway-identity', identity),
    await secretOf('gateway-keys', keys),
  )
}

/** A directory as a Secret. */
export async function secretOf(name: string, dir: string, namespace = NAMESPACE): Promise<object> {
  const names = (await readdir(dir)).filter((each) => !/^\.|\.lock$/.test(each))
  const data = await Promise.all(
    names.map(
      async (each) => [each, (await readFile(join(dir, each))).toString('base64')] as const,
    ),
  )
  return {
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace } },
    data: Object.fromEntries(data),
  }
}

/** The pods that run and are not about to go, by name. */
export async function gatewayPods({ kubectl }: Cluster): Promise<readonly PodPlace[]> {
  const path =
    '{range .items[*]}{.metadata.name} {.status.phase}{.metadata.deletionTimestamp}{"\\n"}{end}'
  const args = ['-n', NAMESPACE, '-l', PODS, '-o', `jsonpath=${path}`]
  const lines = (await kubectl('get', 'pods', ...args)).split('\n')
  return lines.flatMap((line) => {
    const [, name] = /^(\S+) Running$/.exec(line) ?? []
    return name === undefined ? [] : [{ namespace: NAMESPACE, name }]
  })
}

/** What a path of the admin port says, asked for within the pod: the port is on loopback. */
export function adminOf(cluster: Cluster, pod: PodPlace, path: string): Promise<string> {
  const script = `console.log(await (await fetch('http://127.0.0.1:9090${path}')).text())`
  return nodeIn(cluster, pod, script)
}

/** A token for the egress port, made by the command within the pod. */
export async function tokenOf(
  { kubectl }: Cluster,
  pod: PodPlace,
  tenant: string,
  agent: string,
): Promise<string> {
  const command = ['/usr/bin/node', '/app/mesh-gateway', 'issue-token', '--ttl', '1h']
  const config = '/etc/clawmesh/config/gateway.json'
  const who = ['--config', config, '--tenant', tenant, '--agent-id', agent]
  return (await kubectl('exec', '-n', pod.namespace, pod.name, '--', ...command, ...who)).trim()
}

/** Resolves when every pod is of the last revision, and those before are gone with their open calls. */
export async function rolledOut({ kubectl }: Cluster): Promise<void> {
  await kubectl('rollout', 'status', '-n', NAMESPACE, `deployment/${RELEASE}`, '--timeout=5m')
  const path = 'jsonpath={.items[*].metadata.deletionTimestamp}'
  await waitFor(
    'the end of the pods before',
    async () => (await kubectl('get', 'pods', '-n', NAMESPACE, '-l', PODS, '-o', path)) === '',
    { withinMs: 120_000, everyMs: 1_000 },
  )
}
