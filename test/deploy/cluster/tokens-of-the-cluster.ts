/** Egress by tokens of service accounts that the real API server signs and kubelet projects into pods. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeWorkplace, type Workplace } from '../../mesh-gateway/cli/gateway-command.ts'
import { waitFor } from '../../support/wait-for.ts'
import { NAMESPACE } from '../api-server/commands.ts'
import { SERVICE_ISSUER } from '../api-server/control-plane.ts'
import { NODE_ADDRESS } from '../policies/addresses.ts'
import { type AuditRecord, auditOf } from './audit.ts'
import type { Cluster } from './cluster.ts'
import { tell } from './figures.ts'
import { gatewayPods, gatewayValues, RELEASE, rolledOut } from './gateway-release.ts'
import { SWAPPED } from './node-programs.ts'
import { fileIn, listenOn, type PodPlace, startPods } from './pods.ts'
import { send, THROUGH_SERVICE } from './requests.ts'
import type { World } from './world.ts'

const AUDIENCE = 'clawmesh-egress'
const ACCOUNT = 'planner'
const LEAVER = 'leaver'
const AGENT: PodPlace = { namespace: 'acme', name: 'with-tokens' }
/** The clocks of issuer and gateway may differ by so much. */
const LEEWAY_MS = 30_000
const ENV = { MESH_TRUST_DOMAIN: 'mesh.internal', MESH_REVOCATION_LIST: 'revoked.json' }
/** Two tokens for one account: of the gateway's audience, and of the API server's. */
const TOKENS = {
  projected: {
    sources: [
      { serviceAccountToken: { path: 'egress', audience: AUDIENCE } },
      { serviceAccountToken: { path: 'api-server' } },
    ],
  },
}

export function tokensOfTheCluster(get: () => World): void {
  describe('a token of a service account', () => {
    let place: Workplace

    before('the gateway asks the API server for its keys', async () => {
      const { cluster, digest } = get()
      place = await makeWorkplace()
      await revoke('--new')
      await cluster.apply(await revoked())
      const ran = await cluster.release('upgrade', RELEASE, 'clawmesh-gateway', {
        ...gatewayValues(digest),
        clusterTokens: { enabled: true, issuer: SERVICE_ISSUER },
        networkPolicy: { also: [{ cidr: `${NODE_ADDRESS}/32`, ports: [6443] }] },
        revocation: { configMap: 'revoked', listKey: 'revoked.json' },
      })
      assert.equal(ran.code, 0, ran.stderr)
      await rolledOut(cluster)
      await startPods(cluster, {
        ...{ ...AGENT, digest, script: listenOn(7443), serviceAccount: ACCOUNT },
        volumes: [{ name: 'tokens', mountPath: '/tokens', source: TOKENS }],
      })
    })
    after(() => place?.close())

    const revoke = async (...args: readonly string[]) => {
      const { code, stderr } = await place.runWith(ENV, 'revoke', ...args)
      assert.equal(code, 0, stderr)
    }
    const revoked = async () => ({
      ...{ apiVersion: 'v1', kind: 'ConfigMap' },
      metadata: { namespace: NAMESPACE, name: 'revoked' },
      data: { 'revoked.json': await readFile(join(place.dir, 'revoked.json'), 'utf8') },
    })
    const projected = (name: 'egress' | 'api-server') =>
      fileIn(get().cluster, AGENT, `/tokens/${name}`)
    /** Of one request from within the pod, through the Service. */
    const outcome = async (token: string) => {
      const asked = { ...THROUGH_SERVICE, token, path: '/quick', width: 1, forMs: 0 } as const
      return Object.keys(await send(get().cluster, AGENT, asked)).join()
    }

    it('is good for the agent that its account is, in the tenant that its namespace is', async () => {
      const token = await projected('egress')
      assert.equal(await outcome(token), '200 4')
      const { tenant, agent_id: agent } = await recordOf(get().cluster, token)
      assert.deepEqual({ tenant, agent }, { tenant: 'acme', agent: ACCOUNT })
    })

    it('for another audience, that of the API server, is refused', async () => {
      assert.equal(await outcome(await projected('api-server')), '403 MESH_TOKEN_AUDIENCE')
    })

    it('of a namespace that is no tenant is refused', async () => {
      const { cluster } = get()
      await cluster.kubectl('create', 'serviceaccount', '-n', 'default', ACCOUNT)
      const token = await tokenFor(cluster, 'default', ACCOUNT)
      assert.equal(await outcome(token), '403 MESH_TOKEN_TENANT')
    })

    it('in which the namespace was altered is refused', async () => {
      const [head, body = '', signature] = (await projected('egress')).split('.')
      const claims = Buffer.from(body, 'base64url').toString()
      const altered = Buffer.from(claims.replace('"acme"', '"globex"')).toString('base64url')
      assert.equal(await outcome([head, altered, signature].join('.')), '403 MESH_TOKEN_SIGNATURE')
    })

    it('of a deleted account stands, since the gateway asks nobody, until it is revoked', async () => {
      const { cluster } = get()
      await cluster.kubectl('create', 'serviceaccount', '-n', 'acme', LEAVER)
      const left = await tokenFor(cluster, 'acme', LEAVER)
      await cluster.kubectl('delete', 'serviceaccount', '-n', 'acme', LEAVER)
      const [one, other] = [
        await tokenFor(cluster, 'acme', ACCOUNT),
        await tokenFor(cluster, 'acme', ACCOUNT),
      ]
      for (const token of [left, one, other]) assert.equal(await outcome(token), '200 4')

      await revoke('agent', `acme/${LEAVER}`)
      await revoke('token', String((await recordOf(cluster, one)).token_jti), '--for', '1h')
      await cluster.apply(await revoked())
      const began = performance.now()
      await waitFor(
        'the revocations in both pods',
        async () => {
          const outcomes = []
          // a request reaches one pod or the other
          for (const token of [left, one, left, one, left, one, left, one])
            outcomes.push(await outcome(token))
          return outcomes.every((each) => each.startsWith('403 '))
        },
        SWAPPED,
      )
      tell('from a list of revocations to both pods', performance.now() - began)
      assert.equal(await outcome(one), '403 MESH_TOKEN_REVOKED')
      assert.equal(await outcome(other), '200 4', 'another one of the account stands')
    })

    it('that has expired is refused', async () => {
      const { shortToken } = get()
      const leftMs = claimsOf(shortToken).exp * 1000 + LEEWAY_MS + 1_000 - Date.now()
      if (leftMs > LEEWAY_MS * 2) assert.equal(await outcome(shortToken), '200 4')
      if (leftMs > 0) await sleep(leftMs)
      assert.equal(await outcome(shortToken), '403 MESH_TOKEN_EXPIRED')
    })
  })
}

/** A token of ten minutes, the least that the API server makes: it is asked for early, and has expired late. */
export async function makeShortToken(cluster: Cluster): Promise<string> {
  await cluster.kubectl('create', 'serviceaccount', '-n', 'acme', ACCOUNT)
  return tokenFor(cluster, 'acme', ACCOUNT, '--duration', '10m')
}

async function tokenFor(
  { kubectl }: Cluster,
  namespace: string,
  account: string,
  ...words: readonly string[]
): Promise<string> {
  const args = ['-n', namespace, account, '--audience', AUDIENCE, ...words]
  return (await kubectl('create', 'token', ...args)).trim()
}

/** The record of a request with that token, of whichever pod served it. */
async function recordOf(cluster: Cluster, token: string): Promise<AuditRecord> {
  const { jti } = claimsOf(token)
  return waitFor('the record', async () => {
    const pods = await gatewayPods(cluster)
    const records = (await Promise.all(pods.map((pod) => auditOf(cluster, pod)))).flat()
    return records.find((record) => String(record.token_jti).endsWith(jti))
  })
}

function claimsOf(token: string): { readonly exp: number; readonly jti: string } {
  const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  const { exp, jti } = Object(claims)
  return { exp: Number(exp), jti: String(jti) }
}
