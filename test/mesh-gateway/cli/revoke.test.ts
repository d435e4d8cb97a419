import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeTestCa } from '../../support/test-ca.ts'
import { makeWorkplace, type Workplace } from './gateway-command.ts'

const ID = 'spiffe://mesh.internal/tenant/acme/agent/planner'
const TREE = '01a20351-e350-7cc0-b7e3-bcee0fc5fb00'
const JTI = '01a20351-e34f-7323-9952-50b4c26051d2'
const ENV = { MESH_TRUST_DOMAIN: 'mesh.internal', MESH_REVOCATION_LIST: 'revoked.json' }

describe('mesh-gateway revoke', () => {
  let place: Workplace
  beforeEach(async () => {
    place = await makeWorkplace()
    assert.equal((await revoke('--new')).code, 0)
  })
  afterEach(() => place.close())

  const revoke = (...args: string[]) => place.runWith(ENV, 'revoke', ...args)
  const listed = async (): Promise<string[]> => {
    const { code, stdout } = await revoke('--list', '--json')
    assert.equal(code, 0)
    const found: unknown = JSON.parse(stdout)
    assert.ok(typeof found === 'object' && found !== null && 'revoked' in found)
    assert.ok(Array.isArray(found.revoked))
    return found.revoked.map((one: unknown) =>
      typeof one === 'object' && one !== null && 'value' in one ? String(one.value) : '',
    )
  }

  it('takes agents, certificates, trees and tokens, in one spelling, and lets them in again', async () => {
    for (const [kind, spoken, value] of [
      ['agent', 'acme/planner', ID],
      ['certificate', '00:AB:CD', 'abcd'],
      ['certificate', 'F'.repeat(64), 'f'.repeat(64)],
      ['txn', TREE, TREE],
      ['token', JTI, JTI],
    ] as const) {
      const added = await revoke(kind, spoken, '--reason', 'why')
      assert.equal(added.code, 0, added.stderr)
      assert.ok((await listed()).includes(value))
      assert.equal((await revoke(kind, spoken, '--undo')).code, 0)
      assert.ok(!(await listed()).includes(value))
    }
  })

  it('names a certificate by its file', async () => {
    const ca = await makeTestCa()
    try {
      const issued = ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' })
      await writeFile(join(place.dir, 'tls.crt'), issued.certificateChain)
      assert.equal((await revoke('certificate', join(place.dir, 'tls.crt'))).code, 0)
      assert.deepEqual(await listed(), [issued.fingerprint])
    } finally {
      await ca.close()
    }
  })

  it('keeps one entry for each thing, and forgets what was for a time that is over', async () => {
    await revoke('agent', 'acme/planner', '--for', '1ms')
    await revoke('token', JTI, '--for', '1h')
    await revoke('token', JTI)
    assert.deepEqual(await listed(), [JTI])
  })

  it('refuses what it does not understand, and writes nothing', async () => {
    for (const args of [
      ['agent', 'Planner'],
      ['agent', 'spiffe://elsewhere/tenant/acme/agent/planner'],
      ['txn', 'two words'],
      ['certificate', 'no-such-file'],
    ]) {
      const { code, stderr } = await revoke(...args)
      assert.equal(code, 1, args.join(' '))
      assert.match(stderr, /hint: /)
    }
    assert.equal((await revoke('everything', 'x')).code, 2)
    assert.equal((await revoke()).code, 2)
    assert.deepEqual(await listed(), [])
    assert.equal((await revoke('agent', 'acme/planner', '--undo')).code, 1)
    const nowhere = await place.runWith({ MESH_TRUST_DOMAIN: 'mesh.internal' }, 'revoke', '--list')
    assert.equal(nowhere.code, 1)
    assert.match(nowhere.stderr, /MESH_REVOCATION_LIST/)
  })

  it('misses a list that has gone, begins none in its place, and says what to do', async () => {
    assert.equal((await revoke('agent', 'acme/planner')).code, 0)
    const file = join(place.dir, 'revoked.json')
    await rename(file, join(place.dir, 'kept'))
    for (const args of [['agent', 'acme/else'], ['agent', 'acme/planner', '--undo'], ['--list']]) {
      const { code, stdout, stderr } = await revoke(...args)
      assert.deepEqual([code, stdout], [1, ''], args.join(' '))
      assert.match(
        stderr,
        /there is no list of revocations DIR\/revoked\.json\n.*hint: put back the one/,
      )
    }
    assert.ok(!existsSync(file))
    await rename(join(place.dir, 'kept'), file)
    assert.equal((await revoke('agent', 'acme/else')).code, 0)
    assert.equal((await listed()).length, 2, 'the planner is refused as before')
  })

  it('begins a list by --new alone or with its first entry, never where there is one', async () => {
    const again = await revoke('--new')
    assert.equal(again.code, 1)
    assert.match(again.stderr, /there is DIR\/revoked\.json already; it is as it was/)
    await rm(join(place.dir, 'revoked.json'))
    assert.equal((await revoke('--new', 'agent', 'acme/planner')).code, 0)
    assert.deepEqual(await listed(), [ID])
    assert.equal((await revoke('agent', 'acme/planner', '--new', '--undo')).code, 2)
    assert.deepEqual(await listed(), [ID])
  })

  it('leaves a list that it cannot read as it is', async () => {
    const file = join(place.dir, 'revoked.json')
    await writeFile(file, '{ broken')
    assert.equal((await revoke('agent', 'acme/planner')).code, 1)
    assert.equal(await readFile(file, 'utf8'), '{ broken')
  })
})
