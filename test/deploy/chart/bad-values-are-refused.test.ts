/** Bad values of the charts: refused before anything changes, and the message names the key. */
import assert from 'node:assert/strict'
import type { Ran } from '../../support/run-command.ts'
import { startApiStandIn } from './api-stand-in.ts'
import { type Chart, helm, NAMESPACE, type Values } from './helm.ts'
import { DIGEST, EVERYTHING, LEAST, LEAST_TENANT } from './values.ts'

const image = { repository: 'registry.example/clawmesh/gateway', digest: DIGEST }

/** Values beside the least ones, and what the message must have: the key, and what is wrong. */
const GATEWAY: readonly (readonly [string, Values, RegExp])[] = [
  ['a misspelt key', { replicaCount: 2 }, /additional properties 'replicaCount' not allowed/],
  [
    'a misspelt key further below',
    { networkPolicy: { enable: true } },
    /'\/networkPolicy': additional properties 'enable' not allowed/,
  ],
  ['a tag', { image: { ...image, tag: '1.0' } }, /'\/image': additional properties 'tag'/],
  ['a tag for a digest', { image: { ...image, digest: '1.0' } }, /'\/image\/digest': '1.0'/],
  ['a digest cut off', { image: { ...image, digest: DIGEST.slice(0, -1) } }, /'\/image\/digest'/],
  ['a tag in the name', { image: { ...image, repository: 'a/b:1' } }, /'\/image\/repository'/],
  ['no digest', { image: { repository: 'a/b' } }, /'\/image\/digest'/],
  ['no replica', { replicas: 0 }, /'\/replicas': minimum: got 0, want 1/],
  ['a null', { replicas: null }, /missing property 'replicas'/],
  ['half a worker', { workers: 0.5 }, /'\/workers'/],
  ['an upper-case trust domain', { trustDomain: 'Mesh' }, /'\/trustDomain'/],
  ['no trust domain', { trustDomain: '' }, /'\/trustDomain'/],
  ['no signing keys', { signingKeys: { secretName: '' } }, /'\/signingKeys\/secretName'/],
  ['no identity', { identity: { secretName: '' } }, /identity\.secretName: name a Secret/],
  [
    'an issuer that is not named',
    { identity: { certManager: { enabled: true } } },
    /identity\.certManager\.issuerRef\.name: name the issuer/,
  ],
  [
    'CAs for no ConfigMap',
    { identity: { secretName: 'a', trustBundle: { sources: [{ inLine: 'a certificate' }] } } },
    /identity\.trustBundle\.configMap: name the ConfigMap/,
  ],
  [
    'public CAs for the mesh',
    { identity: { trustBundle: { configMap: 'roots', sources: [{ useDefaultCAs: true }] } } },
    /'\/identity\/trustBundle\/sources\/0': additional properties 'useDefaultCAs' not allowed/,
  ],
  [
    'a bad tenant name',
    { tenants: { Acme_1: {} } },
    /'\/tenants': additional properties 'Acme_1' not allowed/,
  ],
  [
    'a tenant name too long',
    { tenants: { ['a'.repeat(64)]: {} } },
    /'\/tenants': additional properties 'a{64}' not allowed/,
  ],
  [
    'a tenant in the namespace of the gateway',
    { tenants: { [NAMESPACE]: {} } },
    /tenants\.mesh-system: its namespace is that of the gateway/,
  ],
  [
    'two tenants in one namespace',
    { tenants: { acme: {}, globex: { namespace: 'acme' } } },
    /tenants\.globex: its namespace, acme, is that of tenants\.acme/,
  ],
  [
    'a misspelt key of policy',
    { tenants: { acme: { policy: { egres: {} } } } },
    /'\/tenants\/acme\/policy': additional properties 'egres'/,
  ],
  [
    'the tenant in its policy, which the chart writes',
    { tenants: { acme: { policy: { tenant: 'globex' } } } },
    /'\/tenants\/acme\/policy': additional properties 'tenant'/,
  ],
  [
    'a key of a tenant in the global policy',
    { policy: { global: { egress: { allow: ['a.example'] } } } },
    /'\/policy\/global\/egress': additional properties 'allow'/,
  ],
  ['a misspelt setting', { config: { logg: {} } }, /'\/config': additional properties 'logg'/],
  [
    'a setting that the chart decides',
    { config: { drainMs: '1h' } },
    /'\/config': additional properties 'drainMs'/,
  ],
  ['a time that is none', { config: { timeouts: { dnsMs: '5x' } } }, /'\/config\/timeouts\/dnsMs'/],
  [
    'a port that is none',
    { networkPolicy: { agentPorts: [70_000] } },
    /'\/networkPolicy\/agentPorts\/0'/,
  ],
  [
    'a CIDR that is none',
    { networkPolicy: { healthFrom: ['host'] } },
    /'\/networkPolicy\/healthFrom\/0'/,
  ],
  [
    'a private network among those outside',
    { networkPolicy: { outside: { cidrs: ['0.0.0.0/0', '172.31.0.0/16'] } } },
    /networkPolicy\.outside\.cidrs: 172\.31\.0\.0\/16 is within networkPolicy\.outside\.except, 172\.16\.0\.0\/12/,
  ],
  [
    'an exception among those outside, over IPv6',
    { networkPolicy: { outside: { cidrs: ['FD00:1::/32'] } } },
    /networkPolicy\.outside\.cidrs: FD00:1::\/32 is within networkPolicy\.outside\.except, fc00::\/7/,
  ],
  ['no memory', { resources: { limits: { memory: 'much' } } }, /'\/resources\/limits\/memory'/],
  [
    'fewer pods at most than at least',
    { autoscaling: { enabled: true, maxReplicas: 1 } },
    /autoscaling\.maxReplicas: 1 is below replicas, 2/,
  ],
  [
    'metrics for every pod',
    { monitoring: { serviceMonitor: { enabled: true } }, networkPolicy: { enabled: false } },
    /monitoring\.serviceMonitor\.enabled: needs networkPolicy\.enabled/,
  ],
  [
    'a password for no Redis',
    { redis: { passwordSecret: 'redis' } },
    /redis\.passwordSecret: has no effect/,
  ],
  [
    'tokens of the cluster for no tenant',
    { clusterTokens: { enabled: true } },
    /clusterTokens\.enabled: name the tenants/,
  ],
  [
    'tokens of the cluster, and no way to their keys',
    { clusterTokens: { enabled: true }, tenants: { acme: {} } },
    /clusterTokens\.enabled: name the API server in networkPolicy\.also/,
  ],
  [
    // somebody else may have the namespace of that name
    'tokens of the cluster for a tenant whose namespace has another name',
    {
      ...{ clusterTokens: { enabled: true, jwksUri: 'https://oidc.example/jwks' } },
      tenants: { globex: { namespace: 'globex-agents' } },
    },
    /tenants\.globex\.namespace: globex-agents; with clusterTokens/,
  ],
  [
    'keys without TLS',
    { clusterTokens: { enabled: true, jwksUri: 'http://oidc.example/jwks' } },
    /'\/clusterTokens\/jwksUri'/,
  ],
  [
    'a list of revocations of no ConfigMap',
    { revocation: { listKey: 'revoked.json' } },
    /revocation\.configMap: name the ConfigMap/,
  ],
]

const TENANT: readonly (readonly [string, Values, RegExp])[] = [
  ['no name', { tenant: '' }, /'\/tenant'/],
  ['a bad name', { tenant: 'Acme.1' }, /'\/tenant'/],
  ['a misspelt key', { quotas: {} }, /additional properties 'quotas' not allowed/],
  ['a misspelt key of policy', { policy: { modes: 'audit' } }, /'\/policy': additional properties/],
  ['a quantity that is none', { quota: { pods: 'many' } }, /'\/quota\/pods'/],
  ['a bad agent', { certificates: { agents: ['Planner'] } }, /'\/certificates\/agents\/0'/],
  [
    'an issuer that is not named',
    { certificates: { agents: ['a'] } },
    /certificates\.issuerRef\.name/,
  ],
  ['the namespace of the gateway', { tenant: NAMESPACE }, /tenant: its namespace, mesh-system/],
]

describe('bad values of a chart', function () {
  this.timeout(600_000)

  const refused = ({ code, stdout, stderr }: Ran, message: RegExp) => {
    assert.notEqual(code, 0)
    assert.match(stderr, message)
    assert.equal(stdout, '', 'nothing is rendered')
  }

  for (const [chart, least, cases] of [
    ['clawmesh-gateway', LEAST, GATEWAY],
    ['clawmesh-tenant', LEAST_TENANT, TENANT],
  ] as const) {
    describe(`of ${chart}`, () => {
      let runs: readonly Ran[] = []
      before('all at once', async () => {
        runs = await inTurns(cases, ([, values]) =>
          helm('template', chart, { ...least, ...values }),
        )
      })
      for (const [index, [what, , message]] of cases.entries())
        it(`${what}: refused by its key`, () => {
          const run = runs[index]
          assert.ok(run)
          refused(run, message)
        })
    })
  }

  it('a release with a name that is too long is refused', async () => {
    const run = await helm('template', 'clawmesh-gateway', LEAST, { release: 'm'.repeat(41) })
    refused(run, /name of the release, "m+": has more than 40 characters/)
  })

  describe('that another release has taken', () => {
    const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/mesh-tenant-acme`
    const taken = (release: string, namespace = NAMESPACE) => ({
      ...{ apiVersion: 'v1', kind: 'ConfigMap' },
      metadata: {
        ...{ name: 'mesh-tenant-acme', namespace: NAMESPACE },
        annotations: {
          'meta.helm.sh/release-name': release,
          'meta.helm.sh/release-namespace': namespace,
        },
      },
    })
    /** What helm says of an installation, beside what is there. */
    async function install(
      chart: Chart,
      values: Values,
      there: Parameters<typeof startApiStandIn>[0],
      release = 'mesh',
    ) {
      const api = await startApiStandIn(there)
      try {
        const run = await helm('try', chart, values, { release, server: api.url })
        return { run, changes: [...api.changes] }
      } finally {
        await api.close()
      }
    }

    it('a tenant with two releases is refused, and nothing has changed', async () => {
      const there = { [path]: taken('acme-one') }
      const { run, changes } = await install('clawmesh-tenant', LEAST_TENANT, there, 'acme-two')
      refused(
        run,
        /tenant: acme is there already, .* is of release acme-one in namespace mesh-system/,
      )
      assert.deepEqual(changes, [])
    })

    it('a namespace that is there, of nobody or of another release, is refused', async () => {
      const there = {
        '/api/v1/namespaces/acme': { kind: 'Namespace', metadata: { name: 'acme' } },
      }
      const { run, changes } = await install('clawmesh-tenant', LEAST_TENANT, there)
      refused(run, /namespace\.create: namespace acme is there already, of no release/)
      assert.deepEqual(changes, [])
    })

    it('a policy in the chart of the gateway and in that of the tenant is refused', async () => {
      const { run, changes } = await install(
        'clawmesh-gateway',
        { ...LEAST, tenants: { acme: { policy: { mode: 'audit' } } } },
        { [path]: taken('acme') },
      )
      refused(
        run,
        /tenants\.acme\.policy: the policy of this tenant is in ConfigMap mesh-tenant-acme/,
      )
      assert.deepEqual(changes, [])
    })
  })

  it('all good values are taken, so that the refusals above are for what they name', async () => {
    assert.equal((await helm('template', 'clawmesh-gateway', EVERYTHING)).code, 0)
  })
})

/** Eight at a time: each is a process of a fifth of a second. */
async function inTurns<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let from = 0; from < all.length; from += 8)
    results.push(...(await Promise.all(all.slice(from, from + 8).map(work))))
  return results
}
