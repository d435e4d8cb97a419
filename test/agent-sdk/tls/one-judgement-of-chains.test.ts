/** TLS, the gates of gateways and agents, the load of one's own files and `mesh-pki verify` say the same of each chain. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadIdentity } from '@clawmesh/agent-sdk/mesh'
import { verifyPath } from '@clawmesh/pki'
import { spiffe } from '../../support/test-ca.ts'
import { der, extension, type Minted, type MintOptions, mint, sequence, subject } from './mint.ts'
import { asCallee, PLANNER, present, rootsOf } from './present.ts'

const HOUR = 3_600_000
const ENDED = { notBefore: new Date(Date.now() - 2 * HOUR), notAfter: new Date(Date.now() - HOUR) }
const AHEAD = { notBefore: new Date(Date.now() + HOUR), notAfter: new Date(Date.now() + 2 * HOUR) }
const ANY_PURPOSE = extension('2.5.29.37', sequence(Buffer.from('0604551d2500', 'hex')))
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength })

interface Case {
  readonly is: 'accepted' | 'refused'
  readonly roots: readonly Minted[]
  readonly chain: readonly [Minted, ...Minted[]]
}

function casesOf(): Readonly<Record<string, Case>> {
  const ca = (name: string, more: MintOptions = {}) => mint({ name, pathLength: null, ...more })
  const leafOf = (issuer: Minted, more: MintOptions = {}) =>
    mint({ issuer, uris: [PLANNER], ...more })
  const root = ca('root')
  const stranger = ca('stranger')
  const int = ca('int', { issuer: root, pathLength: 0 })
  const upper = ca('upper', { issuer: root, pathLength: 1 })
  const lower = ca('lower', { issuer: upper, pathLength: 0 })
  const leaf = leafOf(int)
  const deep = leafOf(lower)
  const nextRoot = ca('root')
  const rollover = ca('root', { issuer: root, key: nextRoot })
  const underNext = ca('int', { issuer: nextRoot, pathLength: 0 })
  const named = { keyIds: true }
  const tight = ca('tight', { pathLength: 1, ...named })
  const nextTight = ca('tight', { pathLength: 1, ...named })
  const tightRollover = ca('tight', { issuer: tight, key: nextTight, pathLength: 1, ...named })
  const underNextTight = ca('int', { issuer: nextTight, pathLength: 0, ...named })
  const printable = subject('root', 0x13)
  const accepted = (roots: readonly Minted[], ...chain: readonly [Minted, ...Minted[]]): Case => ({
    is: 'accepted',
    roots,
    chain,
  })
  const refused = (roots: readonly Minted[], ...chain: readonly [Minted, ...Minted[]]): Case => ({
    is: 'refused',
    roots,
    chain,
  })
  const critical = (id: string, content: Buffer) => extension(id, content, true)
  const policies = sequence(sequence(Buffer.from('0604551d2000', 'hex')))
  const weak = ca('weak', { issuer: root, pathLength: 0, key: rsa(1024) })
  const cross = ca('root', { issuer: stranger, key: root })
  const anyPurpose = ca('any', { issuer: root, extensions: [ANY_PURPOSE] })
  const mute = ca('mute', { issuer: root, caUsage: 0x02 })
  const endedInt = ca('int', { issuer: root, pathLength: 0, key: int, ...ENDED })
  return {
    'in order': accepted([root], leaf, int),
    'leaf root int': accepted([root], leaf, root, int),
    'leaf stranger int': accepted([root], leaf, stranger, int),
    'leaf leaf int': accepted([root], leaf, leaf, int),
    'two intermediates in order': accepted([root], deep, lower, upper),
    'two intermediates, the upper one first': accepted([root], deep, upper, lower),
    'ten certificates': accepted([root], leaf, int, ...many(8, stranger)),
    'eleven certificates': refused([root], leaf, int, ...many(9, stranger)),
    'fourteen certificates': refused([root], leaf, int, ...many(12, stranger)),
    'without its intermediate': refused([root], leaf),
    'under another root': refused([stranger], leaf, int),
    'an ended root before its renewal': accepted(
      [ca('root', { key: root, ...ENDED }), root],
      leaf,
      int,
    ),
    'an ended root after its renewal': accepted(
      [root, ca('root', { key: root, ...ENDED })],
      leaf,
      int,
    ),
    'an ended root alone': refused([ca('root', { key: root, ...ENDED })], leaf, int),
    'a root that is ahead': refused([ca('root', { key: root, ...AHEAD })], leaf, int),
    'an ended intermediate before its renewal': accepted([root], leaf, endedInt, int),
    'an ended intermediate after its renewal': accepted([root], leaf, int, endedInt),
    'an ended intermediate': refused([root], leaf, endedInt),
    'an intermediate that is ahead': refused(
      [root],
      leaf,
      ca('int', { issuer: root, key: int, ...AHEAD }),
    ),
    'a root cross-signed by a stranger beside it': accepted([root], leaf, int, cross),
    'a root known only by the CA that cross-signed it': accepted([stranger], leaf, int, cross),
    'a new root, by the certificate that the old one made of it (RFC 4210)': accepted(
      [tight],
      leafOf(underNextTight, named),
      underNextTight,
      tightRollover,
    ),
    'the same without key identifiers, since TLS goes by the name': refused(
      [root],
      leafOf(underNext),
      underNext,
      rollover,
    ),
    'a name that is written in another string type': accepted(
      [root],
      leafOf(int),
      ca('int', { issuer: root, key: int, pathLength: 0, issuerName: printable }),
    ),
    'a name in other letters': accepted(
      [root],
      leafOf(int),
      ca('int', { issuer: root, key: int, issuerName: subject(' ROOT ') }),
    ),
    'a root of that name with another key, first': refused([nextRoot], leaf, int),
    'a purpose of any kind alone': refused(
      [root],
      leafOf(int, { usages: null, extensions: [ANY_PURPOSE] }),
      int,
    ),
    'an intermediate with a purpose of any kind alone': refused(
      [root],
      leafOf(anyPurpose),
      anyPurpose,
    ),
    'a purpose of servers only': refused([root], leafOf(int, { usages: ['server'] }), int),
    'critical certificate policies': accepted(
      [root],
      leafOf(int, { extensions: [critical('2.5.29.32', policies)] }),
      int,
    ),
    'a critical key identifier, which RFC 5280 forbids': refused(
      [root],
      leafOf(int, { extensions: [critical('2.5.29.14', der(0x04, Buffer.alloc(20, 1)))] }),
      int,
    ),
    'a critical extension that nobody knows': refused(
      [root],
      leafOf(int, { extensions: [critical('1.2.3.4', der(0x05))] }),
      int,
    ),
    'a key beside the certificates': refused([root], { ...leaf, pem: leaf.pem + leaf.keyPem }, int),
    'a byte order mark before each certificate': accepted(
      [{ ...root, pem: `\uFEFF${root.pem}` }],
      { ...leaf, pem: `\uFEFF${leaf.pem}` },
      { ...int, pem: `\uFEFF${int.pem}` },
    ),
    'an intermediate as root': refused([int], leaf, int),
    'a root beside an intermediate in ca.crt': refused([root, int], leaf, int),
    'a root beside a leaf in ca.crt': refused([root, leaf], leaf, int),
    'an intermediate with RSA of 1024 bits': refused([root], leafOf(weak), weak),
    'an intermediate that may not sign certificates': refused([root], leafOf(mute), mute),
    'CA:TRUE of a leaf': refused([root], leafOf(int, { pathLength: null }), int),
    'no subject': accepted([root], leafOf(int, { name: '' }), int),
  }
}

describe('a chain is judged alike', () => {
  let base: string
  before(async () => {
    base = await mkdtemp(join(tmpdir(), 'clawmesh-one-'))
  })
  after(() => rm(base, { recursive: true, force: true }))

  async function files({ roots, chain }: Case): Promise<string> {
    const dir = await mkdtemp(join(base, 'id-'))
    const pem = (list: readonly Minted[]) => list.map((one) => one.pem).join('')
    await writeFile(join(dir, 'tls.crt'), pem(chain))
    await writeFile(join(dir, 'tls.key'), chain[0].keyPem)
    await writeFile(join(dir, 'ca.crt'), pem(roots))
    return dir
  }
  const errorOf = (said: unknown) =>
    said instanceof Error ? `refused: ${said.message}` : 'accepted'

  for (const [what, one] of Object.entries(casesOf()))
    it(`${what}: ${one.is}`, async () => {
      const dir = await files(one)
      const caFile = join(dir, 'ca.crt')
      const own = await loadIdentity(dir, { spiffe }).catch(toError)
      const verified = async (path: string) =>
        verifyPath({ path, caFile }).then(({ checks }) => {
          const failed = checks
            .filter(({ ok }) => !ok)
            .map(({ name, detail }) => `${name}: ${detail}`)
          return failed.length === 0 ? 'accepted' : `refused: ${failed.join('; ')}`
        }, errorOf)
      const said: Record<string, string> = {
        'the load of its own files': errorOf(own),
        'mesh-pki verify': await verified(dir),
        'mesh-pki verify without the key': await verified(join(dir, 'tls.crt')),
      }
      // a side that refuses its own files never shows them; one that takes them sends them in order
      if (!(own instanceof Error))
        said['the gate for callees'] = errorOf(await asCallee(own, rootsOf(...one.roots)))
      if (
        !what.includes('ca.crt') &&
        !what.includes('as root') &&
        !what.includes('1024') &&
        !what.includes(' before each') &&
        !what.includes('beside')
      )
        said['the gate for callers'] = errorOf((await present(one.roots, ...one.chain)).asCaller)
      const wrong = Object.entries(said).filter(([, verdict]) => !verdict.startsWith(one.is))
      assert.deepEqual(wrong, [])
    })

  it('and a CA that has ended is named by the file that it stands in', async () => {
    const cases = casesOf()
    const [int, root] = [cases['an ended intermediate'], cases['an ended root alone']]
    assert.ok(int && root)
    const expired = (message: RegExp) => ({ code: 'MESH_IDENTITY_EXPIRED', message })
    await assert.rejects(
      loadIdentity(await files(int), { spiffe }),
      expired(/^an intermediate in tls\.crt ended at /),
    )
    await assert.rejects(
      loadIdentity(await files(root), { spiffe }),
      expired(/^a root in ca\.crt ended at /),
    )
  })

  it('and text of two bytes a character is named for what it is', async () => {
    const one = casesOf()['in order']
    assert.ok(one)
    const dir = await files(one)
    const path = join(dir, 'tls.crt')
    const text = await readFile(path, 'utf8')
    for (const bytes of [
      Buffer.from(`\uFEFF${text}`, 'utf16le'),
      Buffer.from(`\uFEFF${text}`, 'utf16le').swap16(),
    ]) {
      await writeFile(path, bytes)
      await assert.rejects(loadIdentity(dir, { spiffe }), { message: /UTF-16/ })
      await assert.rejects(verifyPath({ path: dir }), { message: /UTF-16/ })
    }
  })
})

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

function many(count: number, one: Minted): Minted[] {
  return Array.from({ length: count }, () => one)
}
