/** What the writer of the gateway's own list does with changes that come together, and with a file that is not what was read. */
import assert from 'node:assert/strict'
import {
  lstat,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RevocationEntry } from '../../../mesh-gateway/src/revocation/entry.ts'
import {
  addToList,
  beginList,
  readList,
  removeFromList,
} from '../../../mesh-gateway/src/revocation/list-file.ts'
import {
  createListReader,
  type ListReader,
  MAX_LIST_BYTES,
} from '../../../mesh-gateway/src/revocation/list-reader.ts'
import {
  createListWriter,
  type Edit,
  type ListWriter,
} from '../../../mesh-gateway/src/revocation/list-writer.ts'

describe('the writer of the list of revocations', () => {
  let dir: string
  let path: string
  let reader: ListReader
  let writer: ListWriter
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-writer-'))
    path = join(dir, 'revoked.json')
    await beginList(path, Date.now())
    reader = createListReader(path)
    writer = createListWriter({ path, reader })
  })
  afterEach(() => rm(dir, { recursive: true }))

  const entry = (value: string, until: string | null = null): RevocationEntry => ({
    ...{ kind: 'token', value, reason: null, since: '2026-11-29T12:00:00Z', until, by: null },
  })
  const adding =
    (value: string): Edit =>
    () => ({ add: entry(value) })
  const undoing: Edit = () => ({ undo: { kind: 'token', value: 'x' } })
  const held = async () => (await readList(path, Date.now())).map(({ value }) => value).toSorted()
  const inode = async () => (await stat(path)).ino

  it('writes changes that come together in their order, each seeing those before it', async () => {
    const saw: boolean[] = []
    const seeing =
      (value: string): Edit =>
      (index) => {
        saw.push(index.get('token', value) !== undefined)
        return null
      }
    const answers = await Promise.allSettled(
      [
        adding('a'),
        seeing('a'),
        seeing('b'),
        () => {
          throw new TypeError('no')
        },
        adding('b'),
        seeing('b'),
      ].map(writer.change),
    )
    assert.deepEqual(
      answers.map((one) => (one.status === 'fulfilled' ? one.value : String(one.reason))),
      [true, false, false, 'TypeError: no', true, false],
    )
    assert.deepEqual(saw, [true, false, true])
    assert.deepEqual(await held(), ['a', 'b'])
  })

  it('writes nothing for a change that is none', async () => {
    await writer.change(adding('a'))
    const before = await readFile(path)
    assert.equal(await writer.change(() => null), false)
    await assert.rejects(
      writer.change(() => {
        throw new TypeError('no')
      }),
      { message: 'no' },
    )
    assert.deepEqual(await readFile(path), before)
    assert.equal(await removeFromList(path, { kind: 'token', value: 'x' }, Date.now()), false)
    assert.equal(await removeFromList(path, { kind: 'txn', value: 'a' }, Date.now()), false)
    await assert.rejects(addToList(path, { ...entry('a b') }, Date.now()), {
      code: 'MESH_REVOCATION_INVALID',
    })
    assert.deepEqual(await readFile(path), before)
    assert.equal(await removeFromList(path, { kind: 'token', value: 'a' }, Date.now()), true)
    assert.deepEqual(await held(), [])
  })

  it('shows what holds, and nothing that has ended', async () => {
    const untilMs = Date.now() + 60_000
    await addToList(path, entry('a', new Date(untilMs).toISOString()), Date.now())
    assert.equal((await readList(path, untilMs - 1)).length, 1)
    assert.equal((await readList(path, untilMs)).length, 0)
  })

  it('takes more changes than it writes at once, and goes on after one that failed', async () => {
    await rm(path)
    await assert.rejects(writer.change(adding('a')), { code: 'MESH_REVOCATION_MISSING' })
    await beginList(path, Date.now() + 1)
    const names = Array.from({ length: 300 }, (_, n) => `t${n}`)
    await Promise.all(names.map((name) => writer.change(adding(name))))
    assert.deepEqual(await held(), names.toSorted())
  })

  it('writes a file anew when more than a thousand of its lines say nothing, and not an older copy', async () => {
    let older = true
    const own = createListWriter({ path, reader: { ...reader, isOlder: () => older } })
    const ino = await inode()
    // two lines are the header and the seal
    await Promise.all(Array.from({ length: 998 }, () => own.change(undoing)))
    await own.change(adding('stays'))
    assert.equal(await inode(), ino)
    await own.change(undoing)
    await own.change(adding('stays'))
    assert.equal(await inode(), ino, 'an older copy')
    older = false
    await own.change(adding('more'))
    assert.notEqual(await inode(), ino)
    assert.deepEqual(await held(), ['more', 'stays'])
    assert.equal((await readFile(path, 'utf8')).split('\n').length, 5)
    await own.change(adding('last'))
    assert.deepEqual(await held(), ['last', 'more', 'stays'])
  })

  it('writes anew when exactly one more than a thousand say nothing', async () => {
    const ino = await inode()
    await Promise.all(Array.from({ length: 998 }, () => writer.change(undoing)))
    await writer.change(undoing)
    assert.equal(await inode(), ino, 'a thousand')
    await writer.change(undoing)
    assert.notEqual(await inode(), ino)
  })

  it('writes many entries anew, behind a symbolic link, and leaves nothing beside it', async () => {
    const names = Array.from({ length: 1_100 }, (_, n) => `t${String(n).padStart(4, '0')}`)
    const real = join(dir, 'real.json')
    await rename(path, real)
    await symlink(real, path)
    for (let round = 0; round < 3; round += 1)
      await Promise.all(names.map((name) => writer.change(adding(name))))
    assert.ok((await lstat(path)).isSymbolicLink())
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.deepEqual(await held(), names)
    assert.ok((await readFile(path, 'utf8')).split('\n').length < 2_500)
    assert.deepEqual((await readdir(dir)).toSorted(), [
      ...['real.json', 'revoked.json', 'revoked.json.lock'],
    ])
  })

  describe('whose file is not what it has read', () => {
    /** Called when it was read, before it is written. */
    const between = (work: () => Promise<unknown>) =>
      createListWriter({
        path,
        reader: {
          ...reader,
          async catchUpToAppend() {
            const list = await reader.catchUpToAppend()
            await work()
            return list
          },
        },
      })

    it('says that it was replaced, and writes nothing', async () => {
      await writer.change(adding('a'))
      await beginList(join(dir, 'other'), Date.now())
      const other = await readFile(join(dir, 'other'))
      let swapped = 0
      const swap = async () => {
        swapped += 1
        // once for each change, after the second reading, under the lock
        if (swapped === 2) await rename(join(dir, 'other'), path)
      }
      await assert.rejects(between(swap).change(adding('b')), {
        code: 'MESH_DISK_WRITE',
        message: /was replaced while it was written/,
      })
      assert.deepEqual(await readFile(path), other)
    })

    it('says so where it was cut off, and does not fill the gap', async () => {
      await writer.change(adding('a'))
      const whole = await readFile(path)
      let reads = 0
      const cut = async () => {
        reads += 1
        if (reads === 2) await truncate(path, whole.length - 1)
      }
      await assert.rejects(between(cut).change(adding('b')), {
        message: /was replaced while it was written/,
      })
      assert.deepEqual(await readFile(path), whole.subarray(0, -1))
    })

    it('keeps it within the size that is read', async () => {
      await writer.change(adding('a'))
      const before = (await stat(path)).size
      await writer.change(adding('b'))
      const line = (await stat(path)).size - before
      const list = { ...(await reader.catchUpToAppend()) }
      for (const [offset, fits] of [
        [MAX_LIST_BYTES - line + 1, false],
        [MAX_LIST_BYTES - line, true],
      ] as const) {
        const own = createListWriter({
          path,
          reader: { ...reader, catchUpToAppend: async () => ({ ...list, offset }) },
        })
        await truncate(path, offset)
        const change = own.change(adding('c'))
        if (fits) assert.equal(await change, true)
        else
          await assert.rejects(change, {
            code: 'MESH_REVOCATION_INVALID',
            message: /it would be larger than 268435456 bytes/,
          })
        assert.equal((await stat(path)).size, fits ? offset + line : offset)
      }
    })
  })
})
