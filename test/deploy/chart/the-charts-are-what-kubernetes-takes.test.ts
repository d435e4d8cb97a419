/** The charts by helm lint, and what they render by the schemas of three versions of Kubernetes. */
import assert from 'node:assert/strict'
import { type Chart, field, find, helm, type KubeObject, render, type Values } from './helm.ts'
import { validate } from './kubernetes-validate.ts'
import {
  EVERY_TENANT,
  EVERYTHING,
  LEAST,
  LEAST_TENANT,
  OTHER_ISSUER,
  TOKENS_OF_CLUSTER,
} from './values.ts'

const VERSIONS = ['1.35', '1.36', '1.37']
/** Kinds of cert-manager, trust-manager and the Prometheus Operator: test/deploy/crds judges them. */
const FOREIGN = /^((trust\.)?cert-manager\.io|monitoring\.coreos\.com)\//

const CASES: readonly (readonly [string, Chart, Values])[] = [
  ['the gateway, the least', 'clawmesh-gateway', LEAST],
  ['the gateway, everything', 'clawmesh-gateway', EVERYTHING],
  ['a tenant, the least', 'clawmesh-tenant', LEAST_TENANT],
  ['a tenant, everything', 'clawmesh-tenant', EVERY_TENANT],
  ['the gateway, with tokens of the cluster', 'clawmesh-gateway', TOKENS_OF_CLUSTER],
]

describe('the charts', function () {
  this.timeout(600_000)
  const rendered: KubeObject[][] = []
  before('render', async () => {
    const all = CASES.map(([, chart, values]) => render(chart, values))
    for (const objects of await Promise.all(all)) rendered.push([...objects])
  })

  for (const [name, chart, values] of CASES)
    it(`please helm lint: ${name}`, async () => {
      const { code, stdout } = await helm('lint', chart, values)
      assert.equal(code, 0, stdout)
    })

  it('render what three versions of Kubernetes take, unknown fields refused', () => {
    const all = rendered.flat().filter(({ apiVersion }) => !FOREIGN.test(String(apiVersion)))
    assert.ok(all.length > 25)
    assert.deepEqual(validate(all, VERSIONS), [])
    const [deployment] = all.filter(({ kind }) => kind === 'Deployment')
    assert.ok(deployment)
    const misspelt = { ...deployment, spec: { ...Object(deployment.spec), replica: 2 } }
    assert.equal(validate([misspelt], VERSIONS).length, VERSIONS.length, 'a misspelt field is seen')
  })

  it('give each object the labels of its release', () => {
    for (const object of rendered.flat()) {
      const labels = Object(field(object, 'metadata.labels'))
      assert.equal(labels['app.kubernetes.io/instance'], 'mesh', object.metadata.name)
    }
  })

  it('give the pods a token for the API server only where agents come with tokens of the cluster', () => {
    const volumes = rendered.map((objects) => {
      const deployment = objects.find(({ kind }) => kind === 'Deployment')
      return JSON.stringify(field(deployment, 'spec.template.spec.volumes') ?? [])
    })
    const having = CASES.filter((_, index) => /serviceAccountToken/.test(volumes[index] ?? ''))
    assert.deepEqual(
      having.map(([name]) => name),
      ['the gateway, with tokens of the cluster'],
    )
    const map = find(rendered[4] ?? [], 'ConfigMap', 'mesh-config')
    const config: unknown = JSON.parse(String(Object(map.data)['gateway.json']))
    assert.deepEqual(field(config, 'tokens'), {
      ttlMs: '5m',
      issuers: [
        OTHER_ISSUER,
        {
          issuer: 'https://kubernetes.default.svc.cluster.local',
          jwksUri: 'https://kubernetes.default.svc.cluster.example/openid/v1/jwks',
          audience: 'clawmesh-egress',
          tenants: ['acme', 'globex'],
          claims: {
            tenant: '/kubernetes.io/namespace',
            agent: '/kubernetes.io/serviceaccount/name',
          },
          destinations: 'policy',
          caFile: '/etc/clawmesh/api-server/ca.crt',
          tokenFile: '/etc/clawmesh/api-server/token',
        },
      ],
    })
  })

  for (const index of [0, 1, 4])
    it(`have pods as the PodSecurity level restricted wants them: ${CASES[index]?.[0]}`, () => {
      const pod = field(find(rendered[index] ?? [], 'Deployment'), 'spec.template.spec')
      assert.deepEqual(restrictedFaults(pod), [])
      assert.equal(field(pod, 'automountServiceAccountToken'), false)
    })

  it('except private and special networks from each range of destinations', async () => {
    const outside = async (...cidrs: readonly string[]) => {
      const values = { ...LEAST, networkPolicy: { outside: { cidrs } } }
      const objects = await render('clawmesh-gateway', values)
      assert.deepEqual(validate(objects, VERSIONS), [])
      const rules = Object.values(Object(field(find(objects, 'NetworkPolicy'), 'spec.egress')))
      const blocks = rules.flatMap((rule) => Object.values(Object(field(rule, 'to'))))
      return Object.fromEntries(
        blocks.flatMap((one): [string, unknown][] => {
          const cidr = field(one, 'ipBlock.cidr')
          return typeof cidr === 'string' ? [[cidr, field(one, 'ipBlock.except')]] : []
        }),
      )
    }
    const low = ['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8']
    const high = ['169.254.0.0/16', '172.16.0.0/12', '192.168.0.0/16', '224.0.0.0/4', '240.0.0.0/4']
    const six = ['::/127', 'fc00::/7', 'fe80::/10', 'ff00::/8']
    assert.deepEqual(await outside('0.0.0.0/0', '::/0'), {
      ...{ '0.0.0.0/0': [...low, ...high], '::/0': six },
    })
    // the same in halves, and others that hold some of them or none
    assert.deepEqual(
      await outside(
        '0.0.0.0/1',
        '128.0.0.0/1',
        '169.0.0.0/8',
        '198.51.100.0/24',
        '2000::/3',
        '::/1',
      ),
      {
        ...{ '0.0.0.0/1': low, '128.0.0.0/1': high, '169.0.0.0/8': ['169.254.0.0/16'] },
        ...{ '198.51.100.0/24': undefined, '2000::/3': undefined },
        '::/1': ['::/127'],
      },
    )
  })

  it('let a pod end later than its open calls do', async () => {
    for (const [drainSeconds, preStopSeconds] of [
      [30, 5],
      [0, 1],
      [3600, 300],
    ] as const) {
      const objects = await render('clawmesh-gateway', { ...LEAST, drainSeconds, preStopSeconds })
      const pod = field(find(objects, 'Deployment'), 'spec.template.spec')
      const grace = Number(field(pod, 'terminationGracePeriodSeconds'))
      // a worker that has not ended 5 s after the drain is killed
      assert.ok(grace >= preStopSeconds + drainSeconds + 5 + 5, String(grace))
    }
  })
})

/** https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, of what a Deployment of ours has. */
function restrictedFaults(pod: unknown): string[] {
  const faults: string[] = []
  const want = (path: string, value: unknown, of: unknown = pod) => {
    const found = JSON.stringify(field(of, path))
    if (found !== JSON.stringify(value)) faults.push(`${path} is ${found}`)
  }
  want('securityContext.runAsNonRoot', true)
  want('securityContext.seccompProfile.type', 'RuntimeDefault')
  for (const absent of ['hostNetwork', 'hostPID', 'hostIPC']) want(absent, undefined)
  for (const container of Object.values(Object(field(pod, 'containers')))) {
    want('securityContext.allowPrivilegeEscalation', false, container)
    want('securityContext.readOnlyRootFilesystem', true, container)
    want('securityContext.capabilities', { drop: ['ALL'] }, container)
    want('securityContext.privileged', undefined, container)
  }
  for (const volume of Object.values(Object(field(pod, 'volumes')))) {
    const kinds = Object.keys(Object(volume)).filter((key) => key !== 'name')
    const allowed = ['configMap', 'secret', 'projected', 'emptyDir']
    if (!kinds.every((kind) => allowed.includes(kind))) faults.push(`a volume is ${kinds}`)
  }
  return faults
}
