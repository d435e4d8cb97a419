/** How the gateway's own list is read: what is asked of the disk, what an older copy does, and what is no list. */
import assert from 'node:assert/strict'
import {
  appendFile,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDisk, type Disk } from '@clawmesh/agent-sdk/mesh'
import type { NewEntry } from '../../../mesh-gateway/src/revocation/entry.ts'
import { addToList, beginList } from '../../../mesh-gateway/src/revocation/list-file.ts'
import {
  createListReader,
  type ListReader,
  MAX_LIST_BYTES,
} from '../../../mesh-gateway/src/revocation/list-reader.ts'
import { createListWriter } from '../../../mesh-gateway/src/revocation/list-writer.ts'

describe('the reader of the list of revocations', () => {
  let dir: string
  let path: string
  let reader: ListReader
  let asked: number
  /** Of the questions that come, those that fail, the first one being 1. */
  let failing: Map<number, Error>

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-reader-'))
    path = join(dir, 'revoked.json')
    asked = 0
    failing = new Map()
    const real = createDisk()
    const disk: Disk = {
      ...real,
      run: <T>(at: string, work: () => Promise<T>) =>
        real.run(at, async () => {
          asked += 1
          const error = failing.get(asked)
          if (error !== undefined) throw error
          return await work()
        }),
    }
    reader = createListReader(path, disk)
    await beginList(path, 1_000)
  })
  afterEach(() => rm(dir, { recursive: true }))

  const entry = (value: string, more: Partial<NewEntry> = {}): NewEntry => ({
    ...{ kind: 'token', value, reason: null, since: '2026-11-29T12:00:00Z', until: null },
    ...more,
  })
  const add = (value: string, more: Partial<NewEntry> = {}) =>
    addToList(path, entry(value, more), Date.now())
  /** As it looks when nobody has written it for long. */
  const age = () => utimes(path, new Date(1_000_000), new Date(1_000_000))
  const questions = async (work: () => Promise<unknown>) => {
    asked = 0
    await work().catch(() => {})
    return asked
  }
  const put = async (content: string | Buffer) => {
    await writeFile(`${path}.next`, content)
    await rename(`${path}.next`, path)
  }
  const values = () => [...reader.index().entries()].map(({ value }) => value).toSorted()
  const older = /is older than the list in use/

  it('knows nothing before it has read, then which list it is, and when it has changed', async () => {
    assert.deepEqual(
      [reader.id(), reader.state(), values(), reader.isOlder()],
      [null, '', [], false],
    )
    await reader.catchUp()
    const { list, mark } = JSON.parse((await readFile(path, 'utf8')).split('\n')[0] ?? '')
    assert.deepEqual([reader.id(), reader.state()], [list, `${list} 0 ${mark}`])
    await add('a')
    assert.deepEqual(values(), [])
    await reader.catchUp()
    assert.deepEqual([values(), reader.id()], [['a'], list])
    assert.ok(reader.state().startsWith(`${list} 1 `))
  })

  it('asks how a file looks, and no more while it has not changed for long', async () => {
    await age()
    const first = await questions(reader.catchUp)
    assert.ok(first > 1)
    assert.equal(await questions(reader.catchUp), 1)
    await add('a')
    await age()
    assert.ok((await questions(reader.catchUp)) > 1)
    assert.deepEqual(values(), ['a'])
    assert.equal(await questions(reader.catchUp), 1)
    reader.forget()
    assert.ok((await questions(reader.catchUp)) > 1)
    assert.deepEqual(values(), ['a'])
  })

  it('tells one list from another that stands in the same file, though both revoke nothing', async () => {
    const other = join(dir, 'other')
    await reader.catchUp()
    await beginList(other, 2_000)
    await writeFile(path, await readFile(other))
    await reader.catchUp()
    assert.equal(reader.id(), JSON.parse((await readFile(other, 'utf8')).split('\n')[0] ?? '').list)
    await add('a')
    await reader.catchUp()
    assert.deepEqual(values(), ['a'])
  })

  it('looks again at one that was just written: the next write may have the same time', async () => {
    const now = new Date()
    await utimes(path, now, now)
    await reader.catchUp()
    const index = reader.index()
    assert.ok((await questions(reader.catchUp)) > 1)
    assert.equal(reader.index(), index, 'the same list is not read anew')
  })

  it('says of a broken one what is wrong each time, and reads it once', async () => {
    await reader.catchUp()
    await put('{')
    await age()
    assert.ok((await questions(reader.catchUp)) > 1)
    asked = 0
    await assert.rejects(reader.catchUp(), { code: 'MESH_REVOCATION_INVALID' })
    assert.equal(asked, 1)
  })

  it('reads again what the disk did not give, though the file is as it was', async () => {
    await add('a')
    await age()
    const error = Object.assign(new Error('EMFILE'), { code: 'EMFILE' })
    for (const question of [1, 2, 3]) {
      failing.set(question, error)
      asked = 0
      await assert.rejects(reader.catchUp(), { code: 'MESH_REVOCATION_INVALID', cause: error })
      failing.clear()
      await reader.catchUp()
      assert.deepEqual(values(), ['a'])
      reader.forget()
    }
  })

  it('takes no list that is none, or larger than it may be', async () => {
    const invalid = (message: RegExp) => ({ code: 'MESH_REVOCATION_INVALID', message })
    for (const [bytes, says] of [
      [MAX_LIST_BYTES, /a line is too long/],
      [MAX_LIST_BYTES + 1, /larger than 268435456 bytes/],
    ] as const) {
      await truncate(path, bytes)
      await assert.rejects(reader.catchUp(), invalid(says))
    }
    await rm(path)
    await assert.rejects(reader.catchUp(), { code: 'MESH_REVOCATION_MISSING' })
    await mkdir(path)
    await assert.rejects(reader.catchUp(), invalid(/not a regular file/))
  })

  it('says what is wrong with a list, and in which line', async () => {
    await add('a')
    await add('b')
    const lines = (await readFile(path, 'utf8')).split('\n')
    const [header = '', seal = '', first = '', second = ''] = lines
    const sealOf = (entries: number) => seal.replace(/"entries":\d+/, `"entries":${entries}`)
    const one = JSON.stringify(entry('x', { by: null }))
    for (const [content, says] of [
      [[header, seal, first, second.slice(1)], /: line 4 is not JSON$/],
      [[header, seal, second], /: line 3 is not change 1: one is missing/],
      [[header, 'x'], /: line 2: is not JSON$/],
      [[header, one, '{}'], /: line 3: the kind of an entry/],
      [[header, sealOf(1)], /the entries that it begins with were altered$/],
      [[header, one, seal], /the entries that it begins with were altered$/],
      [[header, one, sealOf(1)], /the entries that it begins with were altered$/],
      [[header], /it ends before the end of the entries/],
      [[header, one], /it ends before the end of the entries/],
      [[header.replace('"version":1', '"version":2')], /another version of mesh-gateway/],
      [['x'.repeat(100_000)], /a line is too long$/],
    ] as const) {
      await put(`${content.join('\n')}\n`)
      await assert.rejects(createListReader(path).catchUp(), { message: says }, String(says))
    }
    await put('')
    await assert.rejects(createListReader(path).catchUp(), { message: /: it is empty$/ })
    await put(' '.repeat(32 * 1024 * 1024 + 1))
    await assert.rejects(createListReader(path).catchUp(), { message: /a line is too long$/ })
  })

  describe('that finds an older copy', () => {
    const hour = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString()
    /** The first end, then the second in the place of it; then the copy with the first one is put back. */
    const endAfter = async (first: string | null, second: string | null) => {
      await rm(path)
      await beginList(path, 1_000)
      reader = createListReader(path)
      await add('a', { until: first })
      const old = await readFile(path)
      await add('a', { until: second })
      await reader.catchUp()
      await put(old)
      await assert.rejects(reader.catchUp(), older)
      return reader.index().get('token', 'a')?.until
    }

    it('lets what ends later hold, whichever of the two says so', async () => {
      const [one, two] = [hour(1), hour(2)]
      for (const [first, second, holds] of [
        [one, two, two],
        [two, one, two],
        [null, one, null],
        [one, null, null],
      ] as const)
        assert.equal(await endAfter(first, second), holds)
    })

    it('goes on from it in the same file once that has the lines that it lacked', async () => {
      await add('a')
      const old = await readFile(path)
      await add('b')
      const whole = await readFile(path)
      await reader.catchUp()
      await put(old)
      await assert.rejects(reader.catchUp(), older)
      assert.equal(reader.isOlder(), true)
      await appendFile(path, whole.subarray(old.length))
      await reader.catchUp()
      assert.equal(reader.isOlder(), false)
      assert.deepEqual(values(), ['a', 'b'])
    })

    it('takes one of another list that was begun in the same moment for no newer one', async () => {
      await add('a')
      await reader.catchUp()
      const other = join(dir, 'other')
      for (const [begunMs, held] of [
        [1_000, ['a']],
        [1_001, []],
      ] as const) {
        await beginList(other, begunMs)
        await put(await readFile(other))
        if (held.length > 0) await assert.rejects(reader.catchUp(), older)
        else await reader.catchUp()
        assert.deepEqual(values(), held)
        await rm(other)
      }
    })

    it('lets a change be written to it, and to nothing that is gone or broken', async () => {
      await add('a')
      await copyFile(path, join(dir, 'old'))
      await add('b')
      await reader.catchUp()
      const writer = createListWriter({ path, reader })
      const change = (value: string) =>
        writer.change(() => ({ add: { ...entry(value), by: null } }))
      await put(await readFile(join(dir, 'old')))
      await assert.rejects(reader.catchUp(), older)
      assert.equal(await change('c'), true)
      await rm(path)
      await assert.rejects(change('d'), { code: 'MESH_REVOCATION_MISSING' })
      await put(await readFile(join(dir, 'old')))
      assert.equal(await change('e'), true)
      await appendFile(path, 'x\n')
      const broken = await readFile(path)
      await assert.rejects(change('f'), { code: 'MESH_REVOCATION_INVALID' })
      assert.deepEqual(await readFile(path), broken, 'nothing of it is cut off')
      assert.ok(values().includes('b'))
    })
  })
})
