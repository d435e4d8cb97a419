/** The rendered container as a process, with volumes as kubelet makes them. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { makeKeyRing } from '../../mesh-gateway/tokens/make-key-ring.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { waitFor } from '../../support/wait-for.ts'
import { find, type KubeObject, render } from './helm.ts'
import { type MountedPod, readFiles, startMountedPod } from './mounted-pod.ts'
import { LEAST } from './values.ts'

/** Only what hangs takes so long. */
const PATIENT = { withinMs: 240_000 }

describe('a gateway with what the chart writes', function () {
  this.timeout(600_000)
  let ca: TestCa
  let pod: MountedPod
  let objects: readonly KubeObject[]

  before('start it', async () => {
    ca = await makeTestCa()
    objects = await render('clawmesh-gateway', {
      ...LEAST,
      workers: 1,
      config: { reload: { pollMs: 200 }, log: { level: 'debug' } },
      tenants: { acme: {}, globex: { policy: { egress: { allow: ['api.github.com'] } } } },
    })
    const keys = join(ca.dir, 'keys')
    await makeKeyRing(keys)
    const secrets = {
      'gateway-identity': await readFiles(await ca.gatewayDir({ name: 'gw', tenants: ['acme'] })),
      'gateway-keys': await readFiles(keys),
    }
    pod = await startMountedPod(objects, secrets, ca.dir)
    await waitFor(
      'a gateway that is up',
      async () => (await pod.probe('startupProbe')) === 200,
      PATIENT,
    )
  })
  after(async () => {
    await pod?.stop()
    await ca?.close()
  })

  /** The files of policy that are not in force, and why. */
  const degraded = async () => (await fetch(`${pod.admin}/ready`)).text()
  const generation = async () => {
    const metrics = await (await fetch(`${pod.admin}/metrics`)).text()
    return Number(/^clawmesh_reload_generation\{what="policy"\} (\d+)/m.exec(metrics)?.[1])
  }

  it('is ready by its probes, though the policy of one tenant is yet to come', async () => {
    await waitFor('ready', async () => (await pod.probe('readinessProbe')) === 200, PATIENT)
    assert.equal(await pod.probe('livenessProbe'), 200)
    // an overloaded disk is a fault that passes
    await waitFor('no fault', async () => !/degraded/.test(await degraded()), PATIENT)
  })

  it('takes over the ConfigMap of a tenant when it comes, is broken, is mended, and goes', async () => {
    const before = await generation()
    await pod.update('tenant-acme', { 'acme.json': '{"tenant":"acme","mode":"audit"}' })
    await waitFor('the policy', async () => (await generation()) > before)

    await pod.update('tenant-acme', { 'acme.json': '{"tenant":"acme","mod":"audit"}' })
    await waitFor('the fault', async () => /acme\.json.*mod/.test(await degraded()))
    assert.equal(await pod.probe('readinessProbe'), 200, 'the tenants of others go on')

    await pod.update('tenant-acme', { 'acme.json': '{"tenant":"acme"}' })
    await waitFor('no fault', async () => !/degraded/.test(await degraded()))
    const mended = await generation()
    await pod.update('tenant-acme', null)
    await waitFor('no policy', async () => (await generation()) > mended)
  })

  it('has each setting from the file: none is refused, and none of them is unknown', () => {
    const config: unknown = JSON.parse(
      String(Object(find(objects, 'ConfigMap', 'mesh-config').data)['gateway.json']),
    )
    assert.equal(Object(config).trustDomain, 'mesh.internal')
    assert.doesNotMatch(pod.lastLines().join('\n'), /warning/)
  })

  it('ends by SIGTERM with 0', async () => {
    assert.deepEqual(await pod.stop(), { code: 0, signal: null })
  })
})
