/** What is said of the keys of issuers: a line when it changes, and none for each attempt. */
import assert from 'node:assert/strict'
import { createSecureContext } from 'node:tls'
import { silentLog } from '@clawmesh/agent-sdk'
import { createSpiffeTemplate } from '@clawmesh/proto'
import { openExternalIssuers } from '../../../../mesh-gateway/src/tokens/external/open-external-issuers.ts'
import { startTokenIssuer, type TokenIssuer } from '../../../support/token-issuer.ts'
import { policyOf } from '../../policy/policies.ts'

describe('the issuers whose tokens are taken', () => {
  let issuer: TokenIssuer
  let said: { level: string; message: string; fields: object }[]
  let fetched: [string, boolean][]
  let close: () => Promise<void>
  beforeEach(async () => {
    issuer = await startTokenIssuer()
    said = []
    fetched = []
  })
  afterEach(async () => {
    await close()
    await issuer.close()
  })
  const open = () => {
    const note = (level: string) => (fields: object, message?: string) =>
      void said.push({ level, message: message ?? '', fields })
    const opened = openExternalIssuers({
      issuers: [
        {
          ...{ issuer: issuer.iss, jwksUri: issuer.jwksUri, audience: 'clawmesh-egress' },
          ...{
            algorithms: ['ES256' as const],
            tenants: ['acme'],
            fixedTenant: null,
            caFile: null,
            tokenFile: null,
            maxTtlMs: null,
            destinations: 'claim' as const,
          },
          claims: { tenant: 'tenant', agent: 'agent_id', destinations: 'allowed_destinations' },
        },
      ],
      spiffe: createSpiffeTemplate({ trustDomain: 'mesh.internal' }),
      policy: { current: () => policyOf({ acme: {} }) },
      maxTtlMs: () => 900_000,
      trust: () => createSecureContext(),
      resolver: { addresses: async () => [] },
      metrics: { issuerKeys: (name, ok) => void fetched.push([name, ok]) },
      log: { ...silentLog, warn: note('warn'), info: note('info') },
    })
    close = opened.close
    return opened
  }
  const lines = () => said.splice(0).map(({ level, message }) => `${level}: ${message}`)
  const bad = 'warn: the keys of an issuer of tokens cannot be had'
  const good = 'info: the keys of an issuer of tokens are good'
  const partly = 'warn: keys of an issuer of tokens are not used'

  it('are silent while all is well from the start', async () => {
    await issuer.addKey('one')
    const { reload, sources } = open()
    await reload()
    await reload()
    assert.deepEqual(lines(), [])
    assert.ok(fetched.length > 0 && fetched.every(([name, ok]) => name === issuer.iss && ok))
    assert.equal(sources.get(issuer.iss)?.verifies('one'), true)
    assert.equal(sources.get(issuer.iss)?.verifies('two'), false)
  })

  it('are named once for each thing that goes wrong, and when it is over', async () => {
    const { reload, sources } = open()
    // the reading at the start goes on, or is joined
    await reload()
    // nothing is known of them: the life of a token bounds it
    assert.equal(sources.get(issuer.iss)?.verifies('one'), true)
    await reload()
    assert.deepEqual(lines(), [bad])
    issuer.serve((_, response) => response.writeHead(500).end())
    await reload()
    await reload()
    assert.deepEqual(lines(), [bad], 'another reason')
    assert.ok(fetched.every(([, ok]) => !ok))
    issuer.serve(null)
    const key = await issuer.addKey('one')
    await reload()
    await reload()
    assert.deepEqual(lines(), [good])
    const odd = await issuer.addKey('two')
    odd.jwk = { ...odd.jwk, use: 'enc' }
    await reload()
    await reload()
    assert.deepEqual(said[0]?.fields, {
      ...{ issuer: issuer.iss, left_out: ['one is not for signatures'] },
    })
    assert.deepEqual(lines(), [partly])
    issuer.keys.clear()
    issuer.keys.set('one', key)
    await reload()
    assert.deepEqual(said[0]?.fields, { issuer: issuer.iss, keys: 1 })
    assert.deepEqual(lines(), [good])
  })
})
