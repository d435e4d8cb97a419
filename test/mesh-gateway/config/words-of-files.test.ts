/** Bad values of each file that an operator may write: each message says where, what is there and what should be, in our words. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { ConfigInvalid, resolveConfig } from '../../../mesh-gateway/src/config/resolve-config.ts'
import { FILE_SETTINGS, SETTINGS } from '../../../mesh-gateway/src/config/settings.ts'
import { parseOldFormat } from '../../../mesh-gateway/src/revocation/old-format.ts'
import { readAccounts } from '../../../mesh-gateway/src/tokens/account-file.ts'
import { readRing } from '../../../mesh-gateway/src/tokens/key-ring-file.ts'
import { faultsOf } from '../policy/policies.ts'

const SECRET = 'hunter2-hunter2'
const BAD = [null, 7, -1, 1e99, 1.5, SECRET, '', [], [SECRET], [7], {}, { x: SECRET }, true, [[[]]]]
/** zod, V8 and traces of the stack. */
const RAW =
  /invalid input|expected .*received|too (?:small|big)|✖|→|Unrecognized|Unexpected (?:token|end)|at .*\.ts:\d|\[object|undefined/i

/** Values in the place of each value of a good document, and of each list and object in it. */
function* spoiled(value: unknown): Generator<unknown> {
  yield* BAD
  if (Array.isArray(value))
    for (const [index, one] of value.entries())
      for (const bad of spoiled(one)) yield value.with(index, bad)
  else if (typeof value === 'object' && value !== null)
    for (const [key, one] of Object.entries(value)) {
      for (const bad of spoiled(one)) yield { ...value, [key]: bad }
      const { [key]: _, ...without } = Object.fromEntries(Object.entries(value))
      yield without
    }
}

describe('what is said of a bad value', function () {
  this.timeout(60_000)
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-words-'))
  })
  after(() => rm(dir, { recursive: true }))

  /** @param quotes messages may quote what the file says: names and hosts of policy do */
  function check(message: string, place: RegExp, quotes = false): void {
    assert.match(message, place)
    assert.doesNotMatch(message, RAW)
    if (!quotes) assert.ok(!message.includes(SECRET), `it quotes what may be a secret: ${message}`)
  }

  async function failing(run: () => unknown): Promise<MeshError | null> {
    try {
      await run()
      return null
    } catch (error) {
      assert.ok(error instanceof MeshError, `not in our words: ${error}`)
      return error
    }
  }

  it('of the configuration names the key and the file', () => {
    let told = 0
    const issuers = [{ issuer: 'https://a.test', jwksUri: 'https://a.test/k', tenants: ['acme'] }]
    const documents = [...SETTINGS, ...FILE_SETTINGS].flatMap(({ key }) =>
      BAD.map((value) =>
        key.split('.').reduceRight<unknown>((inner, part) => ({ [part]: inner }), value),
      ),
    )
    for (const document of [...documents, ...spoiled({ tokens: { issuers } }), ...spoiled({})]) {
      const bytes = Buffer.from(JSON.stringify(document))
      try {
        resolveConfig({ file: { path: '/etc/gw.json', bytes }, env: {}, flags: {}, cwd: '/' })
      } catch (error) {
        assert.ok(error instanceof ConfigInvalid, `not in our words: ${error}`)
        for (const { key, source, message } of error.faults) {
          told += 1
          check(
            `${key} (${source}): ${message}`,
            /^(?:[\w.]+ \((?:\/etc\/gw\.json|null)\)|null \(\/etc\/gw\.json(?::\d+:\d+)?\)): \S/,
          )
        }
      }
    }
    assert.ok(told > 1000, String(told))
  })

  it('of policy names the file, the line and the place in it', () => {
    const good = {
      tenant: 'acme',
      mode: 'enforce',
      egress: {
        allow: ['a.test', { host: 'b.test', methods: ['GET'], paths: ['/**'], scheme: 'http' }],
        limits: { requestsPerMinute: 60, maxBodyBytes: 1 },
        agents: { bot: { mode: 'audit', deny: ['c.test'] } },
      },
      delegation: {
        allow: [{ from: 'a', to: 'b', methods: ['*'] }],
        peerLimits: { concurrentTasks: 1 },
        agents: { bot: { mayOriginate: false } },
      },
    }
    let told = 0
    for (const document of spoiled(good))
      for (const fault of faultsOf('acme.json', JSON.stringify(document))) {
        told += 1
        check(fault, /^acme\.json:1:\d+(?: #\/\S*)?: \S/, true)
      }
    assert.ok(told > 400, String(told))
  })

  it('of service accounts names the file, the line and the place in it', async () => {
    const account = {
      ...{ id: '0123456789abcdef', tenant: 'acme', agent: 'bot', destinations: ['a.test'] },
      ...{ hash: 'a'.repeat(64), created: '2026-11-29T12:00:00.000Z', revoked: null },
    }
    const path = join(dir, 'accounts.json')
    let told = 0
    for (const document of spoiled({ accounts: [account] })) {
      await writeFile(path, JSON.stringify(document))
      const error = await failing(async () => (await readAccounts(path)).parse())
      if (error === null) continue
      told += 1
      for (const line of error.message.split('\n'))
        check(line, /accounts\.json:1:\d+(?: #\/\S+)?: \S|^ {2}and \d/)
    }
    assert.ok(told > 80, String(told))
    await writeFile(path, `{\n  "accounts": [${SECRET}]\n}`)
    const broken = await failing(async () => (await readAccounts(path)).parse())
    check(broken?.message ?? '', /accounts\.json:2:16: is not JSON: /)
  })

  it('of signing keys and of the old list of revocations likewise', async () => {
    const key = {
      ...{ kid: 'k'.repeat(43), created: '2026-11-29T12:00:00.000Z', role: 'active', until: null },
    }
    let told = 0
    for (const document of spoiled({ keys: [key] })) {
      await writeFile(join(dir, 'ring.json'), JSON.stringify(document))
      const error = await failing(() => readRing(dir))
      if (error === null || error.message.startsWith('cannot read')) continue
      told += 1
      check(error.message, /ring\.json(?::1:\d+)?(?: #\/\S+)?: \S/)
    }
    const revoked = { kind: 'agent', value: 'spiffe://mesh.internal/tenant/acme/agent/a', at: 'x' }
    for (const document of spoiled({ revoked: [revoked] })) {
      const bytes = Buffer.from(JSON.stringify(document))
      const error = await failing(() => parseOldFormat(bytes, '/etc/revoked.json'))
      if (error === null) continue
      told += 1
      check(error.message, /\/etc\/revoked\.json:1:\d+(?: #\/\S+)?: \S/)
    }
    assert.ok(told > 100, String(told))
  })
})
