import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { changeTrust, openCa, readTrust } from '@clawmesh/pki'
import { mint } from '../../agent-sdk/tls/mint.ts'
import { makeCa, makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

describe('the roots that a CA hands out', () => {
  let scratch: Scratch
  let dir: string
  let made = 0
  /** Files of roots of other CAs. */
  let next: string
  let third: string
  before(async () => {
    scratch = await makeScratch()
    next = scratch.path('next.crt')
    third = scratch.path('third.crt')
    await writeFile(next, mint({ name: 'next', pathLength: null }).pem)
    await writeFile(third, mint({ name: 'third', pathLength: null }).pem)
  })
  after(() => scratch.remove())
  beforeEach(async () => {
    made += 1
    dir = scratch.path(`ca-${made}`)
    await makeCa(dir)
  })

  const fingerprint = async (path: string) =>
    new X509Certificate(await readFile(path)).fingerprint256.replaceAll(':', '').toLowerCase()
  const handedOut = async () => (await readTrust(dir)).map((one) => one.fingerprint)
  const all = async (...others: readonly string[]) => [
    await fingerprint(scratch.path(`ca-${made}`, 'root.crt')),
    ...(await Promise.all(others.map(fingerprint))),
  ]

  it('are its own alone, and those that are added, each once, its own first', async () => {
    assert.deepEqual(await handedOut(), await all())
    const changed = await changeTrust({ dir, add: next })
    assert.deepEqual(
      changed.map((one) => one.fingerprint),
      await all(next),
    )
    await changeTrust({ dir, add: third })
    for (const again of [next, scratch.path(`ca-${made}`, 'root.crt')])
      await changeTrust({ dir, add: again })
    assert.deepEqual(await handedOut(), await all(next, third))
    assert.equal((await stat(scratch.path(`ca-${made}`, 'also-trusted.crt'))).mode & 0o777, 0o600)
  })

  it('come with each certificate that it issues', async () => {
    await changeTrust({ dir, add: next })
    const { roots } = (await openCa({ dir, passphrase: PASSPHRASE })).issueAgent({
      ...{ tenant: 'acme', agent: 'planner' },
    })
    const found = roots.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
    assert.deepEqual(
      found.map((pem) => new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()),
      await all(next),
    )
  })

  it('can be taken out again, one at a time or several, but not what is not among them', async () => {
    await changeTrust({ dir, add: next })
    await changeTrust({ dir, add: third })
    await changeTrust({ dir, remove: next })
    assert.deepEqual(await handedOut(), await all(third))
    await assert.rejects(changeTrust({ dir, remove: next }), {
      code: 'MESH_PKI_NOT_FOUND',
      message: `the CA does not hand out ${await fingerprint(next)}`,
    })
    assert.deepEqual(await handedOut(), await all(third))
    await changeTrust({ dir, add: next, remove: third })
    assert.deepEqual(await handedOut(), await all(next))
    const both = scratch.path('both.crt')
    await writeFile(both, (await readFile(next, 'utf8')) + (await readFile(third, 'utf8')))
    await changeTrust({ dir, add: both })
    await changeTrust({ dir, remove: both })
    assert.deepEqual(await handedOut(), await all())
  })

  it('always hold its own, and roots alone', async () => {
    await assert.rejects(changeTrust({ dir, remove: scratch.path(`ca-${made}`, 'root.crt') }), {
      ...{ code: 'MESH_PKI_INVALID', message: /always hands out its own root/ },
    })
    const root = mint({ name: 'root', pathLength: null })
    const noRoots = {
      intermediate: mint({ name: 'intermediate', issuer: root, pathLength: 0 }),
      'signed by itself, but no CA': mint({ name: 'leaf' }),
      'named as its issuer, but signed by another': mint({
        name: 'root',
        issuer: root,
        pathLength: null,
      }),
    }
    for (const [what, { pem }] of Object.entries(noRoots)) {
      const path = scratch.path('none.crt')
      await writeFile(path, (await readFile(next, 'utf8')) + pem)
      await assert.rejects(
        changeTrust({ dir, add: path }),
        { code: 'MESH_PKI_INVALID', message: /is not a root/ },
        what,
      )
    }
    assert.deepEqual(await handedOut(), await all())
  })

  it('are changed by one at a time: nothing is lost of two that are added at once', async () => {
    await Promise.all([changeTrust({ dir, add: next }), changeTrust({ dir, add: third })])
    assert.deepEqual((await handedOut()).toSorted(), (await all(next, third)).toSorted())
  })
})
