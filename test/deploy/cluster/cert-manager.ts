/** The controllers of cert-manager and of trust-manager, two CAs of the mesh, and the charts that take identities from them. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { NAMESPACE } from '../api-server/commands.ts'
import type { Values } from '../chart/helm.ts'
import { DEFINITIONS } from '../crds/definitions.ts'
import { goModule } from '../tools/go-module.ts'
import { goTool } from '../tools/go-tool.ts'
import { gatewayValues, RELEASE } from './gateway-release.ts'
import { tenantValues } from './releases.ts'
import type { World } from './world.ts'

/** Where both look for CAs, unless they are told otherwise. */
const CERT_MANAGER = 'cert-manager'
/** The ConfigMap with the roots that trust-manager makes. */
export const ROOTS = 'mesh-roots'
const AGENTS = ['planner', 'researcher']
/** The certificates of the charts, by namespace and name. */
export const ISSUED = [
  [NAMESPACE, `${RELEASE}-identity`],
  ...AGENTS.map((name) => ['acme', name] as const),
] as const

export type Ca = 'one' | 'two'

/** Resolves when the issuers `one` and `two`, of a root each, are ready. */
export async function startCertManager({ cluster, ca }: World): Promise<void> {
  const { kubectl, apply, programs, kubeconfig } = cluster
  for (const [module, below] of DEFINITIONS)
    await kubectl('apply', '--server-side', '-f', join(await goModule(module), below))
  await kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s')
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: CERT_MANAGER } })
  programs.start('cert-manager', goTool('cert-manager'), [kubeconfig])
  programs.start('trust-manager', goTool('trust-manager'), [
    ...[`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--webhook-port=9443'],
    // of its webhook, which nobody asks here: the definitions have its rules
    `--webhook-certificate-dir=${await ca.gatewayDir({ name: 'webhook', tenants: [] })}`,
  ])
  await apply(issuer('roots', { selfSigned: {} }))
  for (const name of ['one', 'two']) {
    await apply(rootOf(name), issuer(name, { ca: { secretName: name } }))
    await kubectl(
      ...['wait', '-n', CERT_MANAGER, `certificate/${name}`],
      ...['--for=condition=Ready', '--timeout=60s'],
    )
  }
  programs.assertAlive()
}

function issuer(name: string, spec: object): object {
  return {
    ...{ apiVersion: 'cert-manager.io/v1', kind: 'ClusterIssuer', metadata: { name }, spec },
  }
}

function rootOf(name: string): object {
  return {
    ...{ apiVersion: 'cert-manager.io/v1', kind: 'Certificate' },
    metadata: { name, namespace: CERT_MANAGER },
    spec: {
      ...{ isCA: true, commonName: `root ${name}`, secretName: name, duration: '2160h' },
      privateKey: { algorithm: 'ECDSA', size: 256 },
      usages: ['cert sign', 'crl sign'],
      issuerRef: { name: 'roots', kind: 'ClusterIssuer' },
    },
  }
}

/** Releases of both charts whose certificates come of one CA, and that trust some: all in their values. */
export async function takeIdentities(
  { cluster, digest }: World,
  { from, trusted }: { readonly from: Ca; readonly trusted: readonly Ca[] },
): Promise<void> {
  const issuerRef = { name: from, kind: 'ClusterIssuer' }
  const sources = trusted.map((name) => ({ secret: { name, key: 'tls.crt' } }))
  const gateway: Values = {
    ...gatewayValues(digest),
    identity: {
      trustBundle: { configMap: ROOTS, sources },
      certManager: { enabled: true, issuerRef },
    },
  }
  const acme: Values = {
    ...tenantValues('acme'),
    certificates: { trustDomain: 'mesh.internal', issuerRef, agents: AGENTS },
  }
  for (const ran of [
    await cluster.release('upgrade', 'tenant-acme', 'clawmesh-tenant', acme),
    await cluster.release('upgrade', RELEASE, 'clawmesh-gateway', gateway),
  ])
    assert.equal(ran.code, 0, ran.stderr)
}

/** As `cmctl renew` does. */
export async function renew(
  { kubectl }: World['cluster'],
  namespace: string,
  name: string,
): Promise<void> {
  const now = new Date().toISOString().replace(/\.\d+/, '')
  const condition = {
    ...{ type: 'Issuing', status: 'True', reason: 'ManuallyTriggered' },
    ...{ message: 'the test asks for it', lastTransitionTime: now },
  }
  const found = JSON.parse(await kubectl('get', 'certificate', '-n', namespace, name, '-o', 'json'))
  const conditions = [...found.status.conditions, condition]
  await kubectl(
    ...['patch', 'certificate', '-n', namespace, name, '--subresource=status', '--type=merge'],
    ...['-p', JSON.stringify({ status: { conditions } })],
  )
}
