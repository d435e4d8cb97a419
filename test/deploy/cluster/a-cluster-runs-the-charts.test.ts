/** The charts on a real cluster: etcd, API server, controllers, kubelet, containerd, and a firewall for NetworkPolicies. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { makeImage } from '../../../deploy/image/make-image.ts'
import { makeTestCa } from '../../support/test-ca.ts'
import { NAMESPACE } from '../api-server/commands.ts'
import { certificates } from './certificates.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { startDns } from './dns.ts'
import { tell } from './figures.ts'
import { gatewayValues, prepareNamespace, RELEASE } from './gateway-release.ts'
import { issuedCertificates } from './issued-certificates.ts'
import { networkPolicies } from './network-policies.ts'
import { noCallFails } from './no-call-fails.ts'
import { importImage } from './node-programs.ts'
import { startOutside } from './outside.ts'
import { IMAGE } from './pods.ts'
import { installTenants, releases } from './releases.ts'
import { tenants } from './tenants.ts'
import { makeShortToken, tokensOfTheCluster } from './tokens-of-the-cluster.ts'
import type { World } from './world.ts'

describe('a cluster', function () {
  this.timeout(900_000)
  let world: World | null = null
  let starting: Promise<Cluster> | null = null
  const get = (): World => {
    assert.ok(world !== null, 'the cluster did not start')
    return world
  }

  before('start it', async () => {
    const ca = await makeTestCa()
    const reference = `${IMAGE}:test`
    const building = makeImage({
      ...{ out: join(ca.dir, 'image'), reference, version: '0.0.0', revision: null, epoch: 0 },
    })
    // told below
    building.catch(() => {})
    starting = startCluster()
    const cluster = await starting
    world = { cluster, ca, digest: '', shortToken: '' }
    const digest = importImage(cluster.containerd, (await building).archive, reference)
    startOutside(cluster.programs)
    await startDns(cluster, digest)
    await prepareNamespace(cluster, ca)
    const began = performance.now()
    const ran = await cluster.release(
      ...(['install', RELEASE, 'clawmesh-gateway', gatewayValues(digest)] as const),
      ...['--wait', '--timeout', '5m'],
    )
    assert.equal(ran.code, 0, ran.stderr)
    tell('helm install --wait of the gateway', performance.now() - began)
    await installTenants(cluster)
    world = { cluster, ca, digest, shortToken: await makeShortToken(cluster) }
  })
  after('remove it', async () => {
    await world?.ca.close()
    // also one that was too late for the clock of its hook
    await (await starting?.catch(() => null))?.close()
    for (const [what, ms] of Object.entries(world?.cluster.times ?? {}))
      process.stderr.write(`${what}: ${ms} ms\n`)
  })

  it('has the gateway ready, in a namespace that enforces restricted', async () => {
    const { cluster } = get()
    const path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{end}'
    const ready = await cluster.kubectl('get', 'pods', '-n', NAMESPACE, '-o', `jsonpath=${path}`)
    assert.equal(ready, 'TrueTrue')
  })

  releases(get)
  networkPolicies(get)
  tenants(get)
  certificates(get)
  noCallFails(get)
  issuedCertificates(get)
  tokensOfTheCluster(get)
})
