/** Certificates that are not as an agent has them, or of the CA before: the gateway refuses each, with its reason. */
import assert from 'node:assert/strict'
import { NAMESPACE } from '../api-server/commands.ts'
import type { Cluster } from './cluster.ts'
import { RELEASE, SERVICE_ADDRESS } from './gateway-release.ts'
import { listenOn, nodeIn, startPods } from './pods.ts'
import type { World } from './world.ts'

const AGENT = 'spiffe://mesh.internal/tenant/acme/agent/planner'
const POD = { namespace: 'acme', name: 'pretender' }
/** What a Certificate asks for, and the refusal. */
const BAD: Readonly<Record<string, readonly [object, string]>> = {
  'without-uri': [{ dnsNames: ['planner.acme.mesh.internal'] }, 'MESH_IDENTITY_AMBIGUOUS'],
  'two-uris': [{ uris: [AGENT, `${AGENT}-2`] }, 'MESH_IDENTITY_AMBIGUOUS'],
  wildcard: [{ uris: [AGENT.replace('planner', '*')] }, 'MESH_IDENTITY_MALFORMED'],
  'may-sign': [
    { uris: [AGENT], isCA: true, usages: ['cert sign', 'digital signature', 'client auth'] },
    'MESH_IDENTITY_NOT_LEAF',
  ],
  'of-the-ca-before': [
    { uris: [AGENT], issuerRef: { name: 'one', kind: 'ClusterIssuer' } },
    'MESH_IDENTITY_UNTRUSTED',
  ],
}

export function refusedCertificates(get: () => World): void {
  describe('that are not as an agent has them', () => {
    before('let cert-manager issue them', async () => {
      const { cluster, digest } = get()
      await issue(cluster)
      await startPods(cluster, {
        ...{ ...POD, digest, script: listenOn(7443) },
        volumes: Object.keys(BAD).map((name) => ({
          ...{ name, mountPath: `/certificates/${name}` },
          source: { secret: { secretName: name, defaultMode: 0o400 } },
        })),
      })
    })

    for (const [name, [, code]] of Object.entries(BAD))
      it(`${name}: refused, ${code}`, async () => {
        const said = await nodeIn(get().cluster, POD, CALL, `/certificates/${name}`)
        assert.equal(said.trim(), code)
      })
  })
}

/** By the CA that the gateway trusts, unless a certificate names another one. */
async function issue({ apply, kubectl }: Cluster): Promise<void> {
  const { namespace } = POD
  await apply(
    ...Object.entries(BAD).map(([name, [spec]]) => ({
      ...{ apiVersion: 'cert-manager.io/v1', kind: 'Certificate', metadata: { name, namespace } },
      spec: {
        ...{ secretName: name, duration: '24h', issuerRef: { name: 'two', kind: 'ClusterIssuer' } },
        privateKey: { algorithm: 'ECDSA', size: 256 },
        usages: ['digital signature', 'server auth', 'client auth'],
        ...spec,
      },
    })),
  )
  for (const name of Object.keys(BAD)) {
    const args = ['-n', namespace, `certificate/${name}`, '--for=condition=Ready', '--timeout=60s']
    await kubectl('wait', ...args)
  }
}

/** A call with a certificate that the SDK would not show. Prints the code that the gateway answers with. */
const CALL = `import { readFileSync } from 'node:fs'
import { connect } from 'node:http2'
const [cert, key] = ['tls.crt', 'tls.key'].map((name) => readFileSync(process.argv[1] + '/' + name))
const ca = readFileSync('/certificates/wildcard/ca.crt')
const session = connect('https://${SERVICE_ADDRESS}:8443', { cert, key, ca, servername: '${RELEASE}.${NAMESPACE}.svc' })
session.on('error', (error) => { console.log(error.code); process.exit(0) })
const stream = session.request({
  ':method': 'POST', ':path': '/clawmesh.mesh.v1.MeshService/WhoAmI',
  'content-type': 'application/grpc', te: 'trailers',
})
stream.on('response', (headers) => console.log(headers['x-mesh-refusal'] ?? 'it was taken'))
stream.on('close', () => session.close()).resume()
stream.end(Buffer.alloc(5))`
