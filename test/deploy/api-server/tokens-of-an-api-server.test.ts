/**
 * Egress by tokens that a real API server signs for service accounts: the gateway has the configuration and the mounts of
 * the chart, and fetches the keys from that API server with a token of its own.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeWorkplace, type Workplace } from '../../mesh-gateway/cli/gateway-command.ts'
import { makeKeyRing } from '../../mesh-gateway/tokens/make-key-ring.ts'
import { closeServer } from '../../support/http-origin.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { waitFor } from '../../support/wait-for.ts'
import { find, type KubeObject, render } from '../chart/helm.ts'
import { type Files, type MountedPod, readFiles, startMountedPod } from '../chart/mounted-pod.ts'
import { LEAST } from '../chart/values.ts'
import { NODE_ADDRESS, OUTSIDE_ADDRESS } from '../policies/addresses.ts'
import { type ApiServer, startApiServerAlone } from './api-server.ts'
import { NAMESPACE } from './commands.ts'
import { SERVICE_NAME } from './control-plane.ts'

const AUDIENCE = 'clawmesh-egress'
const ACCOUNT = 'planner'
/** The clocks of issuer and gateway may differ by so much. */
const LEEWAY_MS = 30_000
const ENV = { MESH_TRUST_DOMAIN: 'mesh.internal', MESH_REVOCATION_LIST: 'revoked.json' }
/** Only what hangs takes so long. */
const PATIENT = { withinMs: 120_000, everyMs: 1_000 }

describe('a token of a service account', function () {
  this.timeout(1_200_000)
  let api: ApiServer
  let ca: TestCa
  let pod: MountedPod
  let place: Workplace
  let origin: Server
  const records: Readonly<Record<string, unknown>>[] = []
  let shortToken = ''

  before('an API server, and a gateway that believes it', async () => {
    api = await startApiServerAlone()
    process.stderr.write(`      the API server was ready after ${api.readyMs} ms\n`)
    spawnSync('ip', ['address', 'add', `${OUTSIDE_ADDRESS}/32`, 'dev', 'lo'])
    const hosts = join(api.dir, 'hosts')
    await writeFile(hosts, `127.0.0.1 localhost\n${NODE_ADDRESS} ${SERVICE_NAME}\n`)
    spawnSync('mount', ['--bind', hosts, '/etc/hosts'])
    for (const namespace of [NAMESPACE, 'acme', 'globex', 'other']) {
      await api.kubectl('create', 'namespace', namespace)
      await api.kubectl('create', 'serviceaccount', '-n', namespace, ACCOUNT)
    }
    await api.kubectl('create', 'serviceaccount', '-n', NAMESPACE, 'mesh')
    // the shortest that the API server makes: it has expired when the last test asks
    shortToken = await made('acme', '--duration', '10m')
    ca = await makeTestCa()
    place = await makeWorkplace()
    await revoke('--new')
    origin = createServer((_, response) => response.end('here'))
    await new Promise<void>((resolve) => {
      origin.listen(80, OUTSIDE_ADDRESS, resolve)
    })
    pod = await startGateway()
  })
  after(async () => {
    await pod?.stop()
    if (origin !== undefined) await closeServer(origin)
    await place?.close()
    await ca?.close()
    spawnSync('umount', ['/etc/hosts'])
    await api?.close()
  })

  const made = async (namespace: string, ...more: readonly string[]) =>
    (
      await api.kubectl(
        ...['create', 'token', '-n', namespace, ACCOUNT, '--audience', AUDIENCE, ...more],
      )
    ).trim()
  const revoke = async (...args: readonly string[]) => {
    const { code, stderr } = await place.runWith(ENV, 'revoke', ...args)
    assert.equal(code, 0, stderr)
  }
  const revoked = async (): Promise<Files> => ({
    'revoked.json': await readFile(join(place.dir, 'revoked.json'), 'utf8'),
  })

  async function startGateway(): Promise<MountedPod> {
    const objects = await render('clawmesh-gateway', {
      ...LEAST,
      workers: 1,
      config: { reload: { pollMs: 200 } },
      policy: { global: { egress: { allowCidrs: ['192.0.2.0/24'] } } },
      tenants: Object.fromEntries(
        ['acme', 'globex'].map((name) => [
          name,
          { policy: { egress: { allow: [OUTSIDE_ADDRESS] } } },
        ]),
      ),
      clusterTokens: { enabled: true },
      networkPolicy: { also: [{ cidr: `${NODE_ADDRESS}/32`, ports: [443] }] },
      revocation: { configMap: 'revoked', listKey: 'revoked.json' },
    })
    await makeKeyRing(join(ca.dir, 'keys'))
    const identity = await ca.gatewayDir({ name: 'gw', tenants: ['acme', 'globex'] })
    const secrets = {
      'gateway-identity': await readFiles(identity),
      'gateway-keys': await readFiles(join(ca.dir, 'keys')),
      revoked: await revoked(),
      // as kubelet projects them
      'api-server': {
        token: (await api.kubectl('create', 'token', '-n', NAMESPACE, 'mesh')).trim(),
        'ca.crt': await readFile(api.caFile, 'utf8'),
      },
    }
    assertAsksApiServer(objects)
    const started = await startMountedPod(objects, secrets, ca.dir, (line) => {
      if (line.startsWith('{"time"')) records.push(JSON.parse(line))
    })
    await waitFor('ready', async () => (await started.probe('readinessProbe')) === 200, PATIENT)
    return started
  }

  /** Of one request: the status, and the code of a refusal. */
  const outcome = (token: string) =>
    new Promise<string>((resolve, reject) => {
      const { hostname: host, port } = new URL(pod.egress)
      request(
        {
          ...{ host, port, agent: false, path: `http://${OUTSIDE_ADDRESS}/` },
          headers: { host: OUTSIDE_ADDRESS, 'proxy-authorization': `Bearer ${token}` },
        },
        (response) => {
          const { statusCode = 0 } = response
          text(response).then((body) => {
            resolve([statusCode, ...(/MESH_[A-Z_]+/.exec(body) ?? [])].join(' '))
          }, reject)
        },
      )
        .on('error', reject)
        .end()
    })
  const recordOf = (token: string) =>
    waitFor('the record', () =>
      records.find(({ token_jti: jti }) => String(jti).endsWith(claimsOf(token).jti)),
    )

  it('is good for the agent that its account is, in the tenant that its namespace is', async () => {
    for (const tenant of ['acme', 'globex']) {
      const token = await made(tenant)
      assert.equal(await outcome(token), '200')
      const record = await recordOf(token)
      assert.equal(record.tenant, tenant)
      assert.equal(record.agent_id, ACCOUNT)
    }
  })

  it('for another audience, that of the API server, is refused', async () => {
    const token = await api.kubectl('create', 'token', '-n', 'acme', ACCOUNT)
    assert.equal(await outcome(token.trim()), '403 MESH_TOKEN_AUDIENCE')
  })

  it('of a namespace that is no tenant is refused', async () => {
    assert.equal(await outcome(await made('other')), '403 MESH_TOKEN_TENANT')
  })

  it('in which the namespace was altered is refused', async () => {
    const [head, body = '', signature] = (await made('acme')).split('.')
    const altered = Buffer.from(body, 'base64url').toString().replace('"acme"', '"globex"')
    const token = [head, Buffer.from(altered).toString('base64url'), signature].join('.')
    assert.equal(await outcome(token), '403 MESH_TOKEN_SIGNATURE')
  })

  it('of an account that was deleted is good until it expires: the gateway asks nobody', async () => {
    await api.kubectl('create', 'serviceaccount', '-n', 'acme', 'leaver')
    const words = ['-n', 'acme', 'leaver', '--audience', AUDIENCE]
    const token = (await api.kubectl('create', 'token', ...words)).trim()
    await api.kubectl('delete', 'serviceaccount', '-n', 'acme', 'leaver')
    assert.equal(await outcome(token), '200')
    await revoke('agent', 'acme/leaver')
    await pod.update('revocation', await revoked())
    await waitFor('the revocation', async () => (await outcome(token)).startsWith('403'), PATIENT)
  })

  it('that was revoked at the gateway is refused, and another one of the account is not', async () => {
    const [token, other] = [await made('acme'), await made('acme')]
    assert.equal(await outcome(token), '200')
    await revoke('token', String((await recordOf(token)).token_jti), '--for', '1h')
    await pod.update('revocation', await revoked())
    await waitFor(
      'the revocation',
      async () => (await outcome(token)) === '403 MESH_TOKEN_REVOKED',
      PATIENT,
    )
    assert.equal(await outcome(other), '200')
  })

  it('that has expired is refused', async () => {
    const leftMs = claimsOf(shortToken).exp * 1000 + LEEWAY_MS + 1_000 - Date.now()
    if (leftMs > LEEWAY_MS * 2) assert.equal(await outcome(shortToken), '200')
    if (leftMs > 0) await sleep(leftMs)
    assert.equal(await outcome(shortToken), '403 MESH_TOKEN_EXPIRED')
  })
})

/** With a token that kubelet projects, and by the name that the API server has in each cluster. */
function assertAsksApiServer(objects: readonly KubeObject[]): void {
  const { data } = find(objects, 'ConfigMap', 'mesh-config')
  assert.match(
    String(Object(data)['gateway.json']),
    /https:\/\/kubernetes\.default\.svc\.cluster\.local\//,
  )
}

function claimsOf(token: string): { readonly exp: number; readonly jti: string } {
  const { exp, jti } = Object(
    JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()),
  )
  return { exp: Number(exp), jti: String(jti) }
}
