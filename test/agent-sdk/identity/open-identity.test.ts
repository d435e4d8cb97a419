import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, open, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type IdentitySnapshot,
  type IdentityStore,
  type OpenIdentityOptions,
  openIdentity,
  type ReloadOutcome,
} from '@clawmesh/agent-sdk/mesh'
import { spiffe } from '../../support/test-ca.ts'
import { withoutPrivileges } from '../../support/without-privileges.ts'
import { type Minted, mint } from '../tls/mint.ts'

const ID = 'spiffe://mesh.internal/tenant/acme/agent/planner'
/** Far longer than any test: what is seen was seen by watching. */
const NEVER_MS = 3_600_000

const root = mint({ name: 'root', pathLength: null })
const intermediate = mint({ name: 'intermediate', issuer: root, pathLength: 0 })
const renewed = (uri = ID) => mint({ issuer: intermediate, uris: [uri] })

describe('a watched identity', () => {
  let base: string
  let dir: string
  let store: IdentityStore | null = null
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'clawmesh-watch-'))
    dir = join(base, 'identity')
    store = null
  })
  afterEach(async () => {
    await store?.close()
    await rm(base, { recursive: true, force: true })
  })

  const contents = (leaf: Minted) =>
    Object.entries({
      'tls.crt': leaf.pem + intermediate.pem,
      'tls.key': leaf.keyPem,
      'ca.crt': root.pem,
    })

  async function fill(to: string, leaf: Minted): Promise<void> {
    await mkdir(to, { recursive: true })
    for (const [name, content] of contents(leaf)) await writeFile(join(to, name), content)
  }

  async function watch(options: Partial<OpenIdentityOptions> = {}): Promise<IdentityStore> {
    store = await openIdentity({ dir, spiffe, pollMs: NEVER_MS, ...options })
    return store
  }

  /** Does something, and waits until the store has the certificate. */
  async function sees(watched: IdentityStore, leaf: Minted, act: () => Promise<unknown>) {
    const seen = new Promise<IdentitySnapshot>((resolve) => {
      const end = watched.onChange((snapshot) => {
        if (!snapshot.certificateChain.includes(leaf.certificate.toString())) return
        end()
        resolve(snapshot)
      })
    })
    await act()
    return seen
  }

  function nextReload(watched: IdentityStore): Promise<ReloadOutcome> {
    return new Promise((resolve) => {
      const end = watched.onReload((outcome) => {
        end()
        resolve(outcome)
      })
    })
  }

  it('begins with generation 1, and a good outcome', async () => {
    await fill(dir, renewed())
    const watched = await watch()
    assert.equal(watched.current().generation, 1)
    assert.equal(watched.lastReload().ok, true)
  })

  it('fails to open where there is nothing good to begin with', async () => {
    await assert.rejects(watch(), { code: 'MESH_IDENTITY_UNREADABLE' })
    await fill(dir, renewed())
    await writeFile(join(dir, 'ca.crt'), '')
    await assert.rejects(watch(), { code: 'MESH_IDENTITY_INVALID' })
  })

  it('tells an option that makes no sense', async () => {
    await assert.rejects(watch({ pollMs: 0 }), TypeError)
    await assert.rejects(watch({ debounceMs: Number.NaN }), TypeError)
  })

  it('sees files written in place, one after the other, three times', async () => {
    await fill(dir, renewed())
    const watched = await watch()
    for (let round = 2; round <= 4; round += 1) {
      const next = renewed()
      const snapshot = await sees(watched, next, () => fill(dir, next))
      assert.equal(snapshot.generation, round)
      assert.equal(watched.current(), snapshot)
    }
  })

  it('never takes a file that is half written, however slowly it comes', async () => {
    await fill(dir, renewed())
    const watched = await watch({ debounceMs: 20 })
    const outcomes: ReloadOutcome[] = []
    watched.onReload((outcome) => outcomes.push(outcome))
    const first = watched.current()
    const next = renewed()
    await sees(watched, next, async () => {
      for (const [name, content] of contents(next)) {
        const half = Math.floor(content.length / 2)
        const file = await open(join(dir, name), 'w')
        await file.write(content.slice(0, half))
        const bad = name === 'tls.crt' ? nextReload(watched) : null
        if (bad !== null) assert.equal((await bad).ok, false)
        assert.equal(watched.current(), first)
        await file.write(content.slice(half))
        await file.close()
      }
    })
    assert.equal(watched.current().generation, 2)
    assert.equal(outcomes.at(-1)?.ok, true)
  })

  it('sees files renamed over the old ones', async () => {
    await fill(dir, renewed())
    const watched = await watch()
    for (let round = 0; round < 3; round += 1) {
      const next = renewed()
      await sees(watched, next, async () => {
        await fill(join(base, 'new'), next)
        for (const [name] of contents(next)) await rename(join(base, 'new', name), join(dir, name))
      })
    }
  })

  for (const kept of [true, false]) {
    it(`sees ..data swapped as Kubernetes does, the old one ${kept ? 'kept' : 'removed'}`, async () => {
      await fill(join(dir, '..1'), renewed())
      await symlink('..1', join(dir, '..data'))
      for (const [name] of contents(root)) await symlink(`..data/${name}`, join(dir, name))
      const watched = await watch()
      for (let round = 2; round <= 4; round += 1) {
        const next = renewed()
        await sees(watched, next, async () => {
          await fill(join(dir, `..${round}`), next)
          await symlink(`..${round}`, join(dir, '..data_tmp'))
          await rename(join(dir, '..data_tmp'), join(dir, '..data'))
          if (!kept) await rm(join(dir, `..${round - 1}`), { recursive: true })
        })
      }
    })
  }

  it('sees `current -> releases/N` swapped, above the directory', async () => {
    await fill(join(base, 'releases', '1'), renewed())
    await symlink('releases/1', join(base, 'current'))
    dir = join(base, 'current')
    const watched = await watch()
    for (let round = 2; round <= 4; round += 1) {
      const next = renewed()
      await sees(watched, next, async () => {
        await fill(join(base, 'releases', `${round}`), next)
        await symlink(`releases/${round}`, join(base, 'tmp'))
        await rename(join(base, 'tmp'), join(base, 'current'))
      })
    }
  })

  it('sees a directory that is deleted and made again, and keeps the last good one meanwhile', async () => {
    await fill(dir, renewed())
    const watched = await watch()
    for (let round = 0; round < 2; round += 1) {
      const before = watched.current()
      const gone = nextReload(watched)
      await rm(dir, { recursive: true })
      const outcome = await gone
      assert.equal(outcome.error?.code, 'MESH_IDENTITY_UNREADABLE')
      assert.equal(watched.current(), before)
      const next = renewed()
      await sees(watched, next, () => fill(dir, next))
      assert.equal(watched.lastReload().ok, true)
    }
  })

  it('keeps the last good one when permissions are taken away, and goes on when they are back', async () => {
    await fill(dir, renewed())
    await withoutPrivileges([base, dir], async () => {
      const watched = await watch({ pollMs: 50 })
      const bad = nextReload(watched)
      await chmod(join(dir, 'tls.key'), 0)
      assert.equal((await bad).error?.code, 'MESH_IDENTITY_UNREADABLE')
      const good = nextReload(watched)
      await chmod(join(dir, 'tls.key'), 0o600)
      assert.equal((await good).ok, true)
    })
  })

  it('sees by polling what no watcher tells', async () => {
    await fill(dir, renewed())
    const watched = await watch({ pollMs: 40, debounceMs: NEVER_MS })
    const next = renewed()
    const snapshot = await sees(watched, next, () => fill(dir, next))
    assert.ok(snapshot.generation >= 2)
  })

  it('warns once of the same bad content, again of another, and says when it is good again', async () => {
    const first = renewed()
    await fill(dir, first)
    const warnings: object[] = []
    const log = {
      debug() {},
      info() {},
      error() {},
      warn: (fields: object) => warnings.push(fields),
    }
    const watched = await watch({ pollMs: 20, log })
    const outcomes: ReloadOutcome[] = []
    watched.onReload((outcome) => outcomes.push(outcome))
    const polls = (count: number) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setInterval(() => {
        count -= 1
        if (count > 0) return
        clearInterval(timer)
        resolve()
      }, 20)
      return promise
    }

    const empty = nextReload(watched)
    await writeFile(join(dir, 'ca.crt'), '')
    assert.equal((await empty).error?.code, 'MESH_IDENTITY_INVALID')
    await polls(10)
    assert.equal(warnings.length, 1)

    const other = nextReload(watched)
    await writeFile(join(dir, 'ca.crt'), '# still nothing\n')
    await other
    await polls(10)
    assert.equal(warnings.length, 2)

    const good = nextReload(watched)
    await rename(await write(join(base, 'ca.crt'), root.pem), join(dir, 'ca.crt'))
    assert.equal((await good).ok, true)
    await polls(5)
    assert.equal(watched.current().generation, 1)
    assert.deepEqual(
      outcomes.map(({ ok }) => ok),
      [false, false, true],
    )
    assert.doesNotMatch(JSON.stringify(warnings), /PRIVATE/)
  })

  async function write(path: string, content: string): Promise<string> {
    await writeFile(path, content)
    return path
  }

  it('never becomes somebody else', async () => {
    await fill(dir, renewed())
    const watched = await watch()
    const before = watched.current()
    const outcome = nextReload(watched)
    await fill(join(base, 'next'), renewed('spiffe://mesh.internal/tenant/acme/agent/other'))
    await rename(dir, join(base, 'old'))
    await rename(join(base, 'next'), dir)
    // the directory may be seen while it is away
    const { error } = await outcome
    const last =
      error?.code === 'MESH_IDENTITY_UNREADABLE' ? (await nextReload(watched)).error : error
    assert.equal(last?.code, 'MESH_IDENTITY_INVALID')
    assert.match(last?.message ?? '', /agent\/other, this process runs as .*agent\/planner/)
    assert.equal(watched.current(), before)
  })

  it('keeps the one it has when the new one has expired or is of another CA', async () => {
    await fill(dir, renewed())
    const watched = await watch()
    const before = watched.current()
    const past = { notBefore: new Date(0), notAfter: new Date(Date.now() - 1) }
    for (const [leaf, code] of [
      [mint({ issuer: intermediate, uris: [ID], ...past }), 'MESH_IDENTITY_EXPIRED'],
      [
        mint({ issuer: mint({ name: 'intermediate', pathLength: 0 }), uris: [ID] }),
        'MESH_IDENTITY_UNTRUSTED',
      ],
    ] as const) {
      const outcome = new Promise<void>((resolve) => {
        const end = watched.onReload(({ error }) => {
          if (error?.code !== code) return
          end()
          resolve()
        })
      })
      await fill(dir, leaf)
      await outcome
      assert.equal(watched.current(), before)
    }
  })

  it('ends on the newest content after a storm of changes, generation by generation', async () => {
    await fill(dir, renewed())
    const watched = await watch({ debounceMs: 10, pollMs: 50 })
    const generations: number[] = []
    watched.onChange(({ generation }) => generations.push(generation))
    let last = renewed()
    await sees(watched, last, async () => {
      for (let round = 0; round < 30; round += 1) await fill(dir, round === 29 ? last : renewed())
    })
    assert.deepEqual(
      generations,
      generations.map((_, index) => index + 2),
    )
    assert.ok(watched.current().certificateChain.startsWith(last.certificate.toString()))
    last = renewed()
    await sees(watched, last, () => fill(dir, last))
  })

  it('tells every listener, though one of them fails', async () => {
    await fill(dir, renewed())
    const errors: object[] = []
    const log = { debug() {}, info() {}, warn() {}, error: (fields: object) => errors.push(fields) }
    const watched = await watch({ log })
    watched.onChange(() => {
      throw new Error('a listener')
    })
    const next = renewed()
    await sees(watched, next, () => fill(dir, next))
    assert.equal(errors.length, 1)
  })

  it('says so when the certificate has expired and nobody renewed it', async () => {
    await fill(dir, renewed())
    let nowMs = Date.now()
    const { promise, resolve } = Promise.withResolvers<string>()
    const log = {
      debug() {},
      info() {},
      warn() {},
      error: (_: object, message: string) => resolve(message),
    }
    const watched = await watch({ pollMs: 20, log, now: () => nowMs })
    nowMs = watched.current().notAfter.getTime() + 1
    assert.match(await promise, /expired and was not renewed/)
  })

  it('tells nobody anything after close, not even of a load under way', async () => {
    await fill(dir, renewed())
    const watched = await watch({ debounceMs: 1, pollMs: 5 })
    const told: unknown[] = []
    watched.onChange((snapshot) => told.push(snapshot))
    watched.onReload((outcome) => told.push(outcome))
    await fill(dir, renewed())
    told.length = 0
    await watched.close()
    const before = watched.current()
    await fill(dir, renewed())
    await watched.close()
    assert.deepEqual(told, [])
    assert.equal(watched.current(), before)
  })

  it('keeps no process alive: neither open nor closed', async () => {
    await fill(dir, renewed())
    const script = `
      import { openIdentity } from '@clawmesh/agent-sdk/mesh'
      import { createSpiffeTemplate } from '@clawmesh/proto'
      const store = await openIdentity({ dir: process.argv[1], spiffe: createSpiffeTemplate({ trustDomain: 'mesh.internal' }) })
      if (process.argv[2] === 'close') await store.close()
      console.log(store.current().generation)`
    for (const how of ['open', 'close']) {
      const args = ['--input-type=module', '-e', script, dir, how]
      const { status, stdout, stderr } = spawnSync(process.execPath, args, {
        encoding: 'utf8',
        timeout: 10_000,
      })
      assert.equal(stdout.trim(), '1', stderr)
      assert.equal(status, 0)
    }
  })
})
