import assert from 'node:assert/strict'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import {
  parseConfirmation,
  parseEgressClaims,
} from '../../../mesh-gateway/src/tokens/parse-claims.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const id = (agent: string, tenant = 'acme') =>
  `spiffe://mesh.internal/tenant/${tenant}/agent/${agent}`
const LEAST = {
  ...{ iss: 'https://gateway.mesh.internal', aud: 'clawmesh-egress', sub: id('bot-01') },
  ...{ agent_id: 'bot-01', tenant: 'acme', allowed_destinations: ['api.test'] },
  ...{ iat: 1, nbf: 2, exp: 3, jti: 'a' },
}
const CERTIFICATE = ['A'.repeat(43), 'AQ', 'B'.repeat(43)].join('.')

describe('the claims of an egress token', () => {
  it('are taken as they are: those that every one has, and a certificate, a binding and a chain', () => {
    const more = {
      crt: [CERTIFICATE],
      cnf: { 'x5t#S256': 'A'.repeat(43) },
      act: { sub: id('planner'), crt: [CERTIFICATE], act: { sub: id('origin', 'globex') } },
      txn: 'tree',
    }
    assert.deepEqual(parseEgressClaims({ ...LEAST, else: 'left out' }, spiffe), LEAST)
    for (const [name, value] of Object.entries(more))
      if (name !== 'act' && name !== 'txn')
        assert.deepEqual(parseEgressClaims({ ...LEAST, [name]: value }, spiffe), {
          ...{ ...LEAST, [name]: value },
        })
    const whole = { ...LEAST, ...more, allowed_destinations: [], iat: 0, nbf: 0, exp: 0.5 }
    assert.deepEqual(parseEgressClaims(whole, spiffe), whole)
  })

  it('are refused, by their name, where one of them is missing or of another shape', () => {
    const noText = [undefined, null, '', 5, 'x'.repeat(2049), {}]
    const noTime = [undefined, null, '5', -1, Number.NaN, Number.POSITIVE_INFINITY]
    const chain = { act: { sub: id('planner') }, txn: 'tree' }
    const wrong: [claim: string, payloads: object[]][] = [
      ['aud', [undefined, 'clawmesh-delegation', ['clawmesh-egress']].map((aud) => ({ aud }))],
      ['iss', noText.map((iss) => ({ iss }))],
      ['sub', [...noText, 'x', id('bot-01').replace('mesh.', 'other.')].map((sub) => ({ sub }))],
      // an identity of the mesh, and not of an agent
      ['sub', [{ sub: spiffe.gateway('gw').id }]],
      ['jti', noText.map((jti) => ({ jti }))],
      ['iat', noTime.map((iat) => ({ iat }))],
      ['nbf', noTime.map((nbf) => ({ nbf }))],
      ['exp', noTime.map((exp) => ({ exp }))],
      [
        'allowed_destinations',
        [undefined, 'api.test', { length: 0 }, ['api.test', 5], ['']].map((one) => ({
          allowed_destinations: one,
        })),
      ],
      ['agent_id', [undefined, 'bot-02', 'BOT-01'].map((agent_id) => ({ agent_id }))],
      ['tenant', [undefined, 'globex'].map((tenant) => ({ tenant }))],
      ['txn', [...noText.map((txn) => ({ ...chain, txn })), { txn: null }]],
      ['act', [{ txn: 'tree' }, { ...chain, act: null }, { ...chain, act: {} }]],
      ['crt', [null, 'x', {}, [5], ['']].map((crt) => ({ crt }))],
      ['cnf', [null, 'x', {}].map((cnf) => ({ cnf }))],
    ]
    for (const [claim, payloads] of wrong)
      for (const payload of payloads)
        assert.throws(
          () => parseEgressClaims({ ...LEAST, ...payload }, spiffe),
          (error) =>
            error instanceof MeshError &&
            error.code === 'MESH_TOKEN_MALFORMED' &&
            error.message.startsWith(`the claim ${claim} of`),
          JSON.stringify(payload),
        )
  })
})

describe('the binding of a token', () => {
  it('is a SHA-256 thumbprint of a certificate, alone', () => {
    const good = { 'x5t#S256': `_-09azAZ${'A'.repeat(35)}` }
    assert.deepEqual(parseConfirmation(good), good)
    const thumbprint = good['x5t#S256']
    for (const wrong of [
      ...[null, undefined, 5, thumbprint, [], {}, [thumbprint], { jkt: thumbprint }],
      ...[{ ...good, jkt: 'x' }, { 'x5t#S256': 5 }, { 'x5t#S256': [thumbprint] }],
      ...[`${thumbprint}A`, `A${thumbprint}`, thumbprint.slice(1), `${thumbprint.slice(1)}+`].map(
        (text) => ({ 'x5t#S256': text }),
      ),
    ])
      assert.throws(() => parseConfirmation(wrong), { code: 'MESH_TOKEN_MALFORMED' })
  })
})
