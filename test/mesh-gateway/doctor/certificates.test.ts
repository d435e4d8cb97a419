import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type IdentitySnapshot, loadIdentity } from '@clawmesh/agent-sdk/mesh'
import { writeIdentity } from '@clawmesh/pki'
import { MeshError } from '@clawmesh/proto'
import { checkCertificate, readCertificate } from '../../../mesh-gateway/src/doctor/certificate.ts'
import { checkTrustBundles } from '../../../mesh-gateway/src/doctor/trust-bundles.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'

const HOUR_MS = 3_600_000

describe('the doctor on certificates', () => {
  let ca: TestCa
  let other: TestCa
  before(async () => {
    ca = await makeTestCa()
    other = await makeTestCa()
  })
  after(async () => {
    await ca.close()
    await other.close()
  })

  const check = async (dir: string, nowMs = Date.now(), whose: 'gateway' | 'agent' = 'agent') =>
    checkCertificate({ whose, dir, loaded: await readCertificate(dir, ca.spiffe), nowMs })
  const agent = { tenant: 'acme', agent: 'planner' }

  it('is content with a fresh one, and says whose it is and until when', async () => {
    const { about, findings } = await check(await ca.agentDir(agent))
    assert.deepEqual(findings, [])
    assert.match(about, /spiffe:\/\/mesh\.internal\/tenant\/acme\/agent\/planner, until 20/)
  })

  it('warns in the last third of its life', async () => {
    const dir = await ca.agentDir(agent)
    assert.deepEqual((await check(dir, Date.now() + 15 * HOUR_MS)).findings, [])
    const [finding] = (await check(dir, Date.now() + 20 * HOUR_MS)).findings
    assert.match(finding?.what ?? '', /the certificate ends in 3 hours/)
    assert.match(finding?.todo ?? '', /^mesh-pki issue agent /)
  })

  it('tells one that has ended from one that is not valid yet', async () => {
    const dir = join(ca.dir, 'moved')
    await writeIdentity(dir, ca.ca.issueAgent({ ...agent, ttlMs: HOUR_MS }))
    const at = async (nowMs: number) => {
      const loaded = await loadIdentity(dir, { spiffe: ca.spiffe, now: () => nowMs }).catch(
        (error: unknown) => error,
      )
      assert.ok(loaded instanceof MeshError)
      const [finding] = checkCertificate({ whose: 'agent', dir, loaded, nowMs }).findings
      return `${finding?.what} ${finding?.todo}`
    }
    assert.match(await at(Date.now() + 2 * HOUR_MS), /expired at .* mesh-pki issue agent /)
    assert.match(await at(Date.now() - 2 * HOUR_MS), /is valid from .* timedatectl status/)
  })

  it('sees files of different certificates, of different CAs, and none at all', async () => {
    const dir = join(ca.dir, 'mixed')
    const mine = ca.ca.issueAgent(agent)
    const keyOf = async (issued: typeof mine) => {
      await writeIdentity(dir, { ...mine, privateKey: issued.privateKey })
      return (await check(dir)).findings[0]
    }
    assert.match((await keyOf(ca.ca.issueAgent(agent)))?.what ?? '', /tls\.key does not fit/)
    await writeIdentity(dir, { ...mine, roots: other.ca.issueAgent(agent).roots })
    assert.match((await check(dir)).findings[0]?.what ?? '', /does not chain to a root in ca\.crt/)
    assert.match((await check(join(ca.dir, 'nowhere'))).findings[0]?.what ?? '', /nowhere/)
  })

  it('sees an agent’s where the gateway’s should be', async () => {
    const [finding] = (await check(await ca.agentDir(agent), Date.now(), 'gateway')).findings
    assert.match(finding?.what ?? '', /certificate of spiffe:.*\/agent\/planner$/)
  })

  it('sees which bundle lacks the root of the other side', async () => {
    const gatewayDir = await ca.gatewayDir({ name: 'gw', tenants: ['acme'] })
    const foreignDir = await other.agentDir(agent)
    const load = (dir: string): Promise<IdentitySnapshot> =>
      loadIdentity(dir, { spiffe: ca.spiffe })
    const compare = async () => {
      const side = async (dir: string) => ({ dir, snapshot: await load(dir) })
      return checkTrustBundles(await side(gatewayDir), await side(foreignDir)).findings
    }
    const both = await compare()
    assert.equal(both.length, 2)
    assert.match(both[0]?.what ?? '', /of the gateway lacks the root .* of the agent$/)
    assert.match(both[1]?.what ?? '', /of the agent lacks the root .* of the gateway$/)
    const [mine, theirs] = await Promise.all(
      [gatewayDir, foreignDir].map((dir) => readFile(join(dir, 'ca.crt'), 'utf8')),
    )
    await writeFile(join(gatewayDir, 'ca.crt'), `${mine}${theirs}`)
    assert.equal((await compare()).length, 1, 'the agent still lacks the gateway’s')
    await writeFile(join(foreignDir, 'ca.crt'), `${mine}${theirs}`)
    assert.deepEqual(await compare(), [])
  })
})
