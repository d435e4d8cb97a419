/** What the log and the outcomes of an identity say of a reload, a refusal, a recovery, and of the end that comes near. */
import assert from 'node:assert/strict'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type IdentityStore, openIdentity, type ReloadOutcome } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { createDisk, type Disk } from '../../../agent-sdk/src/files/disk.ts'
import { FileFault } from '../../../agent-sdk/src/files/file-fault.ts'
import { spiffe } from '../../support/test-ca.ts'
import { type Minted, mint } from '../tls/mint.ts'

const ID = 'spiffe://mesh.internal/tenant/acme/agent/planner'
/** Far longer than any test: what is seen was seen by watching. */
const NEVER_MS = 3_600_000

/** It ends long after any leaf, however much later that is minted. */
const root = mint({
  name: 'root',
  pathLength: null,
  notAfter: new Date(Date.now() + 10 * NEVER_MS),
})
const renewed = () => mint({ issuer: root, uris: [ID] })

interface Line {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

describe('a watched identity says in the log', () => {
  let dir: string
  let stores: IdentityStore[]
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-says-'))
    stores = []
  })
  afterEach(async () => {
    await Promise.all(stores.map((store) => store.close()))
    await rm(dir, { recursive: true, force: true })
  })

  async function write(leaf: Minted): Promise<void> {
    await writeFile(join(dir, 'tls.crt'), leaf.pem)
    await writeFile(join(dir, 'tls.key'), leaf.keyPem)
    await writeFile(join(dir, 'ca.crt'), root.pem)
  }

  /** A log that is kept, and a wait for a line of it. */
  function keptLog() {
    const lines: Line[] = []
    const waiting = new Set<() => void>()
    const sayer = (level: string) => (fields: object, message: string) => {
      lines.push({ level, message, fields: { ...fields } })
      for (const look of waiting) look()
    }
    const [debug, info, warn, error] = ['debug', 'info', 'warn', 'error'].map(sayer)
    assert.ok(debug && info && warn && error)
    const line = (which: RegExp, count = 1) =>
      new Promise<Line>((resolve) => {
        const look = () => {
          const found = lines.filter(({ message }) => which.test(message))[count - 1]
          if (found === undefined) return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        look()
      })
    return { log: { debug, info, warn, error }, lines, line }
  }

  async function open(options: Partial<Parameters<typeof openIdentity>[0]>) {
    const store = await openIdentity({ dir, spiffe, pollMs: NEVER_MS, debounceMs: 20, ...options })
    stores.push(store)
    return store
  }

  it('that it was reloaded, that it was not, and that the files are good again', async () => {
    const { log, lines, line } = keptLog()
    const first = renewed()
    await write(first)
    const store = await open({ log })
    const outcomes: ReloadOutcome[] = []
    store.onReload((outcome) => outcomes.push(outcome))
    assert.deepEqual(lines, [])
    assert.equal(store.lastReload().error, null)
    const of = (leaf: { fingerprint: string; notAfter: Date }, generation: number) => ({
      ...{ identity: ID, generation, fingerprint: leaf.fingerprint },
      not_after: leaf.notAfter.toISOString(),
    })

    // one file, swapped at once: nothing half is seen between
    const sameKey = mint({ issuer: root, uris: [ID], key: first })
    await writeFile(join(dir, 'new'), sameKey.pem)
    await rename(join(dir, 'new'), join(dir, 'tls.crt'))
    assert.deepEqual(await line(/reloaded/), {
      level: 'info',
      message: 'the identity was reloaded',
      fields: of(store.current(), 2),
    })

    await writeFile(join(dir, 'ca.crt'), '')
    const kept = await line(/was not reloaded/)
    assert.equal(kept.level, 'warn')
    assert.equal(
      kept.message,
      'the identity was not reloaded, the last good one stays: ca.crt: holds no certificate',
    )
    const { hint, ...more } = kept.fields
    assert.deepEqual(more, { dir, code: 'MESH_IDENTITY_INVALID', ...of(store.current(), 2) })
    assert.equal(hint, new MeshError('MESH_IDENTITY_INVALID').hint)

    await writeFile(join(dir, 'ca.crt'), root.pem)
    const recovered = await line(/good again, and the same/)
    assert.deepEqual(recovered, {
      level: 'info',
      message: 'the identity files are good again, and the same',
      fields: of(store.current(), 2),
    })
    assert.equal(outcomes.at(-1)?.error, null)

    await writeFile(join(dir, 'ca.crt'), '# nothing\n')
    await line(/was not reloaded/, 2)
    await write(renewed())
    const again = await line(/again, and was reloaded/)
    assert.equal(again.level, 'info')
    assert.equal(again.message, 'the identity is good again, and was reloaded')
    assert.deepEqual(again.fields, of(store.current(), 3))
    assert.deepEqual([outcomes.at(-1)?.ok, outcomes.at(-1)?.error], [true, null])
    assert.deepEqual([store.lastReload().ok, store.lastReload().error], [true, null])
    assert.ok(outcomes.some(({ error }) => error instanceof MeshError))
  })

  it('that the disk does not answer, by that name and not by that of a file', async () => {
    const { log, line } = keptLog()
    await write(renewed())
    const disk = createDisk()
    let mute = false
    const watched: Disk = {
      hanging: () => disk.hanging(),
      run: (path, work) =>
        mute
          ? Promise.reject(new FileFault('NO_ANSWER', 'the disk did not answer within 5 s'))
          : disk.run(path, work),
    }
    const store = await open({ log, disk: watched, pollMs: 20 })
    mute = true
    const { fields, message } = await line(/was not reloaded/)
    assert.equal(fields.code, 'MESH_IDENTITY_UNREADABLE')
    assert.match(message, /cannot read the identity.*: the disk did not answer within 5 s$/)
    assert.equal(store.lastReload().error?.code, 'MESH_IDENTITY_UNREADABLE')
  })

  it('that its end is near when it is opened, and nothing more after close', async () => {
    await write(renewed())
    const [closed, open1] = [keptLog(), keptLog()]
    const { notAfter } = await open({}).then((store) => store.current())
    let nowMs = notAfter.getTime() - 60_000
    const now = () => nowMs
    const first = await open({ log: closed.log, now, pollMs: 10 })
    await open({ log: open1.log, now, pollMs: 10 })
    for (const { lines } of [closed, open1]) {
      assert.equal(lines.length, 1)
      assert.equal(lines[0]?.level, 'warn')
      assert.match(lines[0]?.message ?? '', /ends at .*, in 1 minutes, and was not renewed$/)
    }
    await first.close()
    nowMs += 120_000
    await open1.line(/has expired/)
    // one that is opened later says so a poll later: the closed one would have been before it
    await assert.rejects(open({ now }), { code: 'MESH_IDENTITY_EXPIRED' })
    assert.equal(closed.lines.length, 1)
  })
})
