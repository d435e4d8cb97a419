/**
 * Tokens that are forged, mutated, expired, cut short or of another purpose, own ones and those of another issuer, at both ports: each is
 * refused with a code, and nothing arrives anywhere. A good token of each kind shows that the way is open.
 */
import assert from 'node:assert/strict'
import { createPublicKey, KeyObject } from 'node:crypto'
import type { ClientHttp2Session } from 'node:http2'
import { DELEGATION_TOKEN_TYPE, EGRESS_TOKEN_TYPE, uuidV7 } from '@clawmesh/proto'
import { decodeJwt } from 'jose'
import { call } from '../../test/mesh-gateway/delegation/fixture.ts'
import { startTokenIssuer, type TokenIssuer } from '../../test/support/token-issuer.ts'
import { type AttackedMesh, openAttackedMesh } from './attacked-mesh.ts'
import type { Campaign, Report } from './campaign.ts'
import { attackerOf, openSession, startCountingPeer } from './delegation-client.ts'
import { codeOfAnswer, requestThrough, sendToEgress } from './egress-client.ts'
import { FORGERIES, type GoodToken, signAs } from './forge.ts'
import { issueToken, signingKey } from './gateway-keys.ts'
import { createRandom, type Random } from './random.ts'
import { toldTimes } from './read-audit.ts'

const STEPS = 120
const REQUIRED = ['iss', 'sub', 'aud', 'exp', 'iat', 'jti']
const ID = 'spiffe://mesh.internal/tenant/acme/agent/'
const DELEGATE = '/clawmesh.delegation.v1.DelegationService/Delegate'
/** What else says no: before a token is looked at, or because it allows too little. */
const REFUSALS = /^MESH_(?:TOKEN|CHAIN|IDENTITY|EGRESS|REQUEST|POLICY)_/

export const forgedTokens: Campaign = {
  name: 'forged tokens',
  async run(seed, deadlineMs, report) {
    await using ending = new AsyncDisposableStack()
    const issuer = ending.adopt(await startTokenIssuer(), (one) => one.close())
    await issuer.addKey('one')
    const issuers = [{ issuer: issuer.iss, jwksUri: issuer.jwksUri, tenants: ['acme'] }]
    // what is asked here is who is let in, not how often one may be refused
    const limits = { refusedPerAgent: 1_000_000, refusedPerAddress: 1_000_000 }
    const config = { tokens: { issuers }, limits }
    await using world = await openAttackedMesh(report, { config })
    await attack(world, issuer, createRandom(seed), deadlineMs, report)
  },
}

async function attack(
  world: AttackedMesh,
  issuer: TokenIssuer,
  random: Random,
  deadlineMs: number,
  report: Report,
): Promise<void> {
  const { mesh, reached } = world
  const peer = await startCountingPeer(mesh)
  const session = await openSession(mesh, await attackerOf(mesh))
  try {
    const tokens = await goodTokens(world, issuer)
    const atEgress = async (token: string, path: string) =>
      await sendToEgress(mesh.gateway.egress, requestThrough(world.destination, token, path))
    for (const good of [tokens.egress, tokens.foreign])
      assert.match(await atEgress(good.token, '/good'), /^HTTP\/1\.1 200 /)
    assert.equal((await delegate(session, peer.name, tokens.delegation.token)).status, 0)
    assert.deepEqual([reached.length, peer.arrived()], [2, 1])

    let refused = 0
    let refusedRequests = 0
    for (let step = 0; step < STEPS && Date.now() < deadlineMs; step += 1) {
      const [what, good, token] = await forge(tokens, random)
      if (good === tokens.delegation) {
        const { status, error } = await delegate(session, peer.name, token)
        assert.ok(status !== 0 && REFUSALS.test(error?.code ?? ''), `${what}: ${error?.code}`)
      }
      refused += 1
      // what is for the other port, and good there
      if (token === tokens.egress.token) continue
      const answer = await atEgress(token, '/forged')
      assert.match(codeOfAnswer(answer) ?? '', REFUSALS, `${what}: ${answer.slice(0, 200)}`)
      refusedRequests += 1
    }
    report.steps(refused)
    assert.deepEqual([reached.length, peer.arrived()], [2, 1], 'a forged token let somebody in')
    await world.unharmed()
    session.destroy()
    const lines = await world.end()
    const told = toldTimes(
      lines,
      ({ event, reason, tenant }) => event === 'egress' && reason !== null && tenant !== 'globex',
    )
    assert.equal(told, refusedRequests, 'records of refused requests')
  } finally {
    session.destroy()
    await peer.close()
  }
}

type Tokens = Readonly<Record<'egress' | 'foreign' | 'delegation', GoodToken>>

/** Of acme/attacker: of the gateway, of another issuer, and that of a task. */
async function goodTokens(world: AttackedMesh, issuer: TokenIssuer): Promise<Tokens> {
  const { mesh, destination } = world
  const key = { ...(await signingKey(mesh)), required: REQUIRED }
  const token = await issueToken(mesh)
  const egress = { token, claims: { ...decodeJwt(token) }, typ: EGRESS_TOKEN_TYPE, ...key }
  const iat = Math.floor(Date.now() / 1_000)
  const link = {
    iss: egress.claims.iss,
    sub: `${ID}planner`,
    aud: `${ID}attacker`,
    act: { sub: `${ID}planner` },
    ...{ txn: uuidV7(), jti: uuidV7(), hop: 1, max_hops: 8, iat, exp: iat + 600 },
  }
  const delegation = { token: '', claims: link, typ: DELEGATION_TOKEN_TYPE, ...key }
  const claims = { agent_id: 'attacker', allowed_destinations: [destination] }
  const theirs = issuer.keys.get('one')
  assert.ok(theirs !== undefined)
  const privateKey = KeyObject.from(theirs.privateKey)
  return {
    egress,
    foreign: {
      token: await issuer.token(claims),
      claims: issuer.claims(claims),
      ...{ typ: 'JWT', kid: 'one', privateKey, publicKey: createPublicKey(privateKey) },
      required: ['iss', 'aud', 'exp', 'tenant', 'agent_id'],
    },
    delegation: { ...delegation, token: await signAs(delegation, link) },
  }
}

/** What is wrong, the token that it was made of, and the forged one. */
async function forge(tokens: Tokens, random: Random): Promise<[string, GoodToken, string]> {
  const kind = random.pick(['egress', 'foreign', 'delegation'] as const)
  const good = tokens[kind]
  const more = random.pick(Object.entries(crossed(tokens)[kind]))
  const names = Object.keys(FORGERIES).filter((name) => {
    // another issuer gives its tokens the type that it likes, and a list of audiences
    return kind !== 'foreign' || !['another type', 'another audience'].includes(name)
  })
  if (random.int(4) === 0) return [`${kind}: ${more[0]}`, good, await more[1]()]
  const name = random.pick(names)
  const token = await FORGERIES[name]?.(good, random)
  return [`${kind}: ${name}`, good, token ?? '']
}

/** A key of one purpose or issuer for the claims of another. */
function crossed({ egress, foreign, delegation }: Tokens) {
  const bound = { cnf: { 'x5t#S256': 'A'.repeat(43) } }
  return {
    egress: {
      'signed by the other issuer': () =>
        signAs(egress, egress.claims, { kid: foreign.kid, key: foreign.privateKey }),
      'the claims of a delegation token': () => signAs(egress, delegation.claims),
      'bound to a certificate that nobody shows': () =>
        signAs(egress, { ...egress.claims, ...bound }),
      'of another agent than its subject': () =>
        signAs(egress, { ...egress.claims, agent_id: 'cfo', tenant: 'globex' }),
      'of a gateway': () =>
        signAs(egress, { ...egress.claims, sub: 'spiffe://mesh.internal/gateway/gw-1' }),
    },
    foreign: {
      'signed by the gateway': () =>
        signAs(foreign, foreign.claims, { kid: egress.kid, key: egress.privateKey }),
      'for a tenant that it was not given': () =>
        signAs(foreign, { ...foreign.claims, tenant: 'globex' }),
      'in the name of the gateway': () =>
        signAs(foreign, { ...foreign.claims, iss: egress.claims.iss }),
      'with a chain of delegation': () =>
        signAs(foreign, { ...foreign.claims, act: delegation.claims.act, txn: 'x' }),
      'bound to a certificate that nobody shows': () =>
        signAs(foreign, { ...foreign.claims, ...bound }),
    },
    delegation: {
      'of somebody else': () => signAs(delegation, { ...delegation.claims, aud: `${ID}somebody` }),
      'that has gone as far as it may': () =>
        signAs(delegation, { ...delegation.claims, hop: 8, max_hops: 8 }),
      'that came through the callee': () =>
        signAs(delegation, { ...delegation.claims, act: { sub: `${ID}peer` } }),
      'the claims of an egress token': () => signAs(delegation, egress.claims),
      'an egress token': async () => egress.token,
    },
  }
}

async function delegate(session: ClientHttp2Session, to: string, token: string) {
  return await call(session, {
    ':path': DELEGATE,
    ':authority': to,
    'x-mesh-delegation': token,
  })
}
