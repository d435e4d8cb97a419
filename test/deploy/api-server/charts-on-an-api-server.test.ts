/** Releases of both charts on a real API server: taken, changed, rolled back, removed and refused. Nothing runs there. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { loadAll } from 'js-yaml'
import { field } from '../chart/helm.ts'
import { EVERY_TENANT, EVERYTHING, LEAST, LEAST_TENANT } from '../chart/values.ts'
import { DEFINITIONS } from '../crds/definitions.ts'
import { goModule } from '../tools/go-module.ts'
import { type ApiServer, startApiServerAlone } from './api-server.ts'
import { NAMESPACE, type Ran } from './commands.ts'

const RELEASE = 'mesh'
const GATEWAY = { ...LEAST, tenants: { acme: {}, globex: {} } }

describe('an API server', function () {
  this.timeout(900_000)
  let api: ApiServer

  before('start it', async () => {
    api = await startApiServerAlone()
    await api.apply({
      ...{ apiVersion: 'v1', kind: 'Namespace' },
      metadata: {
        name: NAMESPACE,
        labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
      },
    })
  })
  after(() => api?.close())

  const okay = ({ code, stdout, stderr }: Ran): string => {
    assert.equal(code, 0, stderr)
    return stdout
  }
  /** Every object of ours, by kind, name and version. */
  const versions = async (selector: string) => {
    const kinds =
      'namespaces,deployments,configmaps,services,networkpolicies,resourcequotas,limitranges'
    const path = '{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}'
    const args = ['get', kinds, '--all-namespaces', '-l', selector, '-o', `jsonpath=${path}`]
    return api.kubectl(...args)
  }
  const tenantVersions = (tenant: string) => versions(`clawmesh.internal/tenant=${tenant}`)
  const all = () => versions('app.kubernetes.io/part-of=clawmesh')

  it('takes the gateway and two tenants', async () => {
    okay(await api.release('install', RELEASE, 'clawmesh-gateway', GATEWAY))
    for (const tenant of ['acme', 'globex']) {
      const values = { ...LEAST_TENANT, tenant }
      okay(await api.release('install', `tenant-${tenant}`, 'clawmesh-tenant', values))
    }
    const path = 'jsonpath={.metadata.labels}'
    const labels = await api.kubectl('get', 'namespace', 'acme', '-o', path)
    assert.match(labels, /"pod-security.kubernetes.io\/enforce":"restricted"/)
  })

  it('knows each of their fields: an unknown one would be refused', async () => {
    const args = ['apply', '--dry-run=server', '--validate=strict', '-f', '-']
    for (const name of [RELEASE, 'tenant-acme']) {
      const manifest = okay(await api.helm('get', 'manifest', name))
      okay(await api.tryKubectl(args, manifest))
      const misspelt = manifest.replace('spec:', 'spec:\n  misspelt: 1')
      const ran = await api.tryKubectl(args, misspelt)
      assert.match(ran.stderr, /unknown field "spec.misspelt"/)
    }
  })

  it('admits the pod of the gateway where restricted is enforced, and no pod that is less', async () => {
    const [deployment] = loadAll(
      await api.kubectl('get', 'deployment', RELEASE, '-n', NAMESPACE, '-o', 'json'),
    )
    const pod = {
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'one', namespace: NAMESPACE } },
      spec: field(deployment, 'spec.template.spec'),
    }
    const args = ['create', '--dry-run=server', '-f', '-']
    okay(await api.tryKubectl(args, JSON.stringify(pod)))
    const less = { ...pod, spec: { ...Object(pod.spec), hostNetwork: true } }
    const ran = await api.tryKubectl(args, JSON.stringify(less))
    assert.match(ran.stderr, /violates PodSecurity "restricted:latest": host namespaces/)
  })

  it('changes and rolls back one tenant: no object of another one, or of the gateway, is touched', async () => {
    const others = async () => [
      await tenantVersions('globex'),
      await api.kubectl('get', 'deployment', RELEASE, '-n', NAMESPACE, '-o', 'json'),
    ]
    const [before, own] = [await others(), await tenantVersions('acme')]
    const policy = { egress: { allow: ['api.github.com'] } }
    okay(
      await api.release('upgrade', 'tenant-acme', 'clawmesh-tenant', { ...LEAST_TENANT, policy }),
    )
    const map = ['get', 'configmap', `${RELEASE}-tenant-acme`, '-n', NAMESPACE, '-o', 'json']
    assert.match(await api.kubectl(...map), /api\.github\.com/)
    assert.notEqual(await tenantVersions('acme'), own)
    okay(await api.helm('rollback', 'tenant-acme'))
    assert.doesNotMatch(await api.kubectl(...map), /api\.github\.com/)
    assert.deepEqual(await others(), before)
  })

  for (const [what, name, chart, values, message] of [
    [
      'a second release of a tenant',
      ...(['other', 'clawmesh-tenant', LEAST_TENANT] as const),
      /tenant: acme is there already, .* is of release tenant-acme/,
    ],
    [
      'a second release for the namespace of a tenant',
      ...([
        'second',
        'clawmesh-tenant',
        { ...LEAST_TENANT, gateway: { release: 'mesh2' } },
      ] as const),
      /namespace\.create: namespace acme is there already, of release tenant-acme/,
    ],
  ] as const)
    it(`refuses ${what}, and what was there stays as it was`, async () => {
      const before = await tenantVersions('acme')
      const ran = await api.release('install', name, chart, values)
      assert.equal(ran.code, 1)
      assert.match(ran.stderr, message)
      assert.equal(await tenantVersions('acme'), before)
    })

  it('refuses an upgrade with a bad value, and the release stays as it was', async () => {
    const before = await all()
    const ran = await api.release('upgrade', RELEASE, 'clawmesh-gateway', {
      ...GATEWAY,
      replicas: 0,
    })
    assert.equal(ran.code, 1)
    assert.match(ran.stderr, /'\/replicas'/)
    assert.equal(await all(), before)
  })

  it('takes everything that the charts have, with the definitions of cert-manager, trust-manager and the Prometheus Operator', async () => {
    for (const [module, below] of DEFINITIONS)
      await api.kubectl('apply', '--server-side', '-f', join(await goModule(module), below))
    await api.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=120s')
    const args = ['apply', '--dry-run=server', '--validate=strict', '-f', '-']
    const initech = { ...EVERY_TENANT, tenant: 'initech', namespace: { name: 'initech' } }
    okay(await api.release('install', 'everything', 'clawmesh-gateway', EVERYTHING))
    okay(await api.release('install', 'every-tenant', 'clawmesh-tenant', initech))
    for (const name of ['everything', 'every-tenant'])
      okay(await api.tryKubectl(args, okay(await api.helm('get', 'manifest', name))))
  })

  it('lets a tenant go, with its namespace and nothing of others', async () => {
    const before = await tenantVersions('globex')
    okay(await api.helm('uninstall', 'tenant-acme'))
    const path = 'jsonpath={.metadata.deletionTimestamp}'
    assert.notEqual(
      await api.kubectl('get', 'namespace', 'acme', '-o', path),
      '',
      'it is about to go',
    )
    const kept = await api.kubectl('get', 'networkpolicy', '-n', 'acme', '-o', 'name')
    assert.match(kept, /clawmesh-agents/, 'its pods stay shut in until they are gone')
    assert.equal(await tenantVersions('globex'), before)
  })
})
