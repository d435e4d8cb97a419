/** The gateway's own list as a journal: what is on the disk, whoever writes it, is killed, or puts something else in its place. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createDisk } from '@clawmesh/agent-sdk/mesh'
import type { NewEntry } from '../../../mesh-gateway/src/revocation/entry.ts'
import {
  addToList,
  beginList,
  readList,
  removeFromList,
} from '../../../mesh-gateway/src/revocation/list-file.ts'
import { createListReader } from '../../../mesh-gateway/src/revocation/list-reader.ts'
import { createListWriter } from '../../../mesh-gateway/src/revocation/list-writer.ts'
import { hasNamedPipes, makeNamedPipe } from '../../support/named-pipe.ts'
import { waitFor } from '../../support/wait-for.ts'

const APPENDING = fileURLToPath(new URL('./appending-process.ts', import.meta.url))
const AGENT = (name: string) => `spiffe://mesh.internal/tenant/acme/agent/${name}`

/** Numbers that are the same for the same seed, from 0 to 1. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

describe('the list of revocations on disk', function () {
  this.timeout(120_000)
  let dir: string
  let path: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-list-'))
    path = join(dir, 'revoked.json')
    await beginList(path, Date.now())
  })
  afterEach(() => rm(dir, { recursive: true }))

  const entry = (value: string, more: Partial<NewEntry> = {}): NewEntry => ({
    ...{ kind: 'token', value, reason: null, since: new Date().toISOString(), until: null },
    ...more,
  })
  const add = (value: string, more: Partial<NewEntry> = {}) =>
    addToList(path, entry(value, more), Date.now())
  const values = async (from = path) => (await readList(from, Date.now())).map(({ value }) => value)
  const invalid = { code: 'MESH_REVOCATION_INVALID' }
  const coded = (error: object) => /^MESH_/.test(String(Reflect.get(error, 'code')))
  const missing = { code: 'MESH_REVOCATION_MISSING' }
  const put = async (text: string | Buffer) => {
    await writeFile(`${path}.next`, text)
    await rename(`${path}.next`, path)
  }

  it('takes no lock, which would stop the process, while the disk does not answer', async () => {
    const disk = createDisk({ timeoutMs: 200 })
    const { promise: hanging, resolve: answer } = Promise.withResolvers<void>()
    await assert.rejects(disk.run(path, () => hanging))
    const writer = createListWriter({ path, reader: createListReader(path, disk) })
    await rm(`${path}.lock`)
    const change = () => ({ undo: { kind: 'token', value: 'one' } }) as const
    await assert.rejects(writer.change(change), { code: 'MESH_REVOCATION_INVALID' })
    await assert.rejects(stat(`${path}.lock`), { code: 'ENOENT' })
    answer()
    while (disk.hanging().length > 0) await turn()
    // on a slow machine a disk that answers may take longer than that, too
    await waitFor('the change', () => writer.change(change).catch(() => false))
  })

  it('gains one line for one more entry, and keeps all others as they are', async () => {
    for (const name of ['a', 'b', 'c']) {
      const before = await readFile(path, 'utf8')
      const { ino } = await stat(path)
      await add(name)
      const after = await readFile(path, 'utf8')
      assert.ok(after.startsWith(before))
      assert.equal(after.slice(before.length).split('\n').length, 2, 'one line, with its end')
      assert.equal((await stat(path)).ino, ino)
    }
    assert.equal((await stat(path)).mode & 0o777, 0o600)
  })

  it('is read by the gateway from where it had come to, however long it is', async () => {
    let questions = 0
    const disk = createDisk()
    const counting = {
      ...disk,
      run: <T>(at: string, work: () => Promise<T>) =>
        disk.run(at, () => {
          questions += 1
          return work()
        }),
    }
    const writer = createListWriter({ path, reader: createListReader(path) })
    const long = 'r'.repeat(400)
    await Promise.all(
      Array.from({ length: 2_000 }, (_, n) =>
        writer.change(() => ({ add: { ...entry(`many-${n}`), reason: long, by: null } })),
      ),
    )
    const reader = createListReader(path, counting)
    await reader.catchUp()
    assert.equal(reader.index().size, 2_000)
    assert.ok(questions > 10, `all of it takes ${questions} questions`)
    questions = 0
    await add('one-more')
    await reader.catchUp()
    assert.ok(reader.index().get('token', 'one-more'))
    // how it looks, the opening, the line before, and the new one
    assert.equal(questions, 4)
  })

  it('holds every entry that was reported, of two processes at once that are killed again and again', async () => {
    const seed = Date.now() % 1_000_000
    const random = seeded(seed)
    const reported = new Set<string>()
    let kills = 0
    const one = async (name: string) => {
      while (kills < 10) {
        const child: ChildProcess = spawn(process.execPath, [APPENDING, path, `${name}${kills}`], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        const goal = 1 + Math.floor(random() * 40)
        let count = 0
        let text = ''
        child.stdout?.on('data', (data: Buffer) => {
          text += data
          const lines = text.split('\n')
          text = lines.pop() ?? ''
          for (const line of lines) reported.add(line)
          count += lines.length
          if (count >= goal) child.kill('SIGKILL')
        })
        await once(child, 'close')
        assert.equal(child.signalCode, 'SIGKILL', `seed ${seed}`)
        kills += 1
        // whatever was left there: it is read, and written on
        await add(`after-${kills}`)
        reported.add(`after-${kills}`)
      }
    }
    await Promise.all([one('a'), one('b')])
    const held = new Set(await values())
    assert.deepEqual(
      [...reported].filter((value) => !held.has(value)),
      [],
      `seed ${seed}`,
    )
    // at most the one that was being written by each that was killed
    assert.ok(held.size - reported.size <= kills, `seed ${seed}`)
  })

  it('is read and written on wherever a line was cut off', async () => {
    await add('first')
    const { size } = await stat(path)
    await add('second')
    const whole = await readFile(path)
    for (let cut = size; cut < whole.length; cut += 1) {
      await put(whole.subarray(0, cut))
      assert.deepEqual(await values(), ['first'], `cut at ${cut}`)
    }
    for (const cut of [size + 1, size + 40, whole.length - 1]) {
      await put(whole.subarray(0, cut))
      await add('third')
      assert.deepEqual(await values(), ['first', 'third'])
      assert.ok(!(await readFile(path, 'utf8')).includes('second'))
    }
  })

  it('is refused when any of it was altered, taken out or put in', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await add(name)
    const text = await readFile(path, 'utf8')
    const lines = text.split('\n').slice(0, -1)
    const joined = (changed: readonly string[]) => `${changed.join('\n')}\n`
    const seed = Date.now() % 1_000_000
    const random = seeded(seed)
    const altered = lines.flatMap((line, at) => {
      if (at === 0) return []
      const spot = Math.floor(random() * line.length)
      const other = line[spot] === '7' ? '8' : '7'
      return [joined(lines.with(at, line.slice(0, spot) + other + line.slice(spot + 1)))]
    })
    const without = lines.slice(0, -1).map((_, at) => joined(lines.toSpliced(at, 1)))
    const twice = lines.map((line, at) => joined(lines.toSpliced(at, 0, line)))
    for (const broken of [...altered, ...without, ...twice, '', '\n', '{}\n', `${lines[0]}\n`]) {
      await put(broken)
      await assert.rejects(readList(path, Date.now()), invalid, `seed ${seed}: ${broken}`)
      await assert.rejects(add('more'), invalid)
      assert.equal(await readFile(path, 'utf8'), broken, 'it is left as it was')
    }
  })

  it('is never begun by a change: one that has gone is missed, and a new one is asked for by name', async () => {
    await add(AGENT('planner'), { kind: 'agent' })
    await rm(path)
    await assert.rejects(add('other'), missing)
    await assert.rejects(
      removeFromList(path, { kind: 'token', value: 'other' }, Date.now()),
      missing,
    )
    await assert.rejects(readList(path, Date.now()), missing)
    await assert.rejects(stat(path), { code: 'ENOENT' })
    await beginList(path, Date.now())
    assert.deepEqual(await values(), [])
    await assert.rejects(beginList(path, Date.now()), invalid)
  })

  it('pardons nobody in a process that had read it, whatever is put in its place', async () => {
    await add('a')
    await copyFile(path, join(dir, 'old'))
    await add('b')
    const reader = createListReader(path)
    const writer = createListWriter({ path, reader })
    await reader.catchUp()
    const held = () => ['a', 'b'].every((value) => reader.index().get('token', value))
    const kept = join(dir, 'kept')
    await rename(path, kept)
    const places: [string, () => Promise<unknown>][] = [
      ['nothing', async () => {}],
      ['an empty file', () => writeFile(path, '')],
      ['a directory', () => mkdir(path)],
      ['half of it', async () => writeFile(path, (await readFile(kept)).subarray(0, 150))],
      ['an old document', () => writeFile(path, '{"revoked":[]}')],
      ['an older copy', () => copyFile(join(dir, 'old'), path)],
    ]
    if (hasNamedPipes()) places.push(['a named pipe', async () => makeNamedPipe(path)])
    for (const [what, place] of places) {
      await place()
      await assert.rejects(reader.catchUp(), coded, what)
      assert.ok(held(), what)
      if (!['an old document', 'an older copy'].includes(what))
        await assert.rejects(
          writer.change(() => ({ add: { ...entry('c'), by: null } })),
          coded,
          what,
        )
      await rm(path, { recursive: true, force: true })
    }
    await cp(kept, path)
    await reader.catchUp()
    assert.ok(held() && reader.index().size === 2)
    await truncate(path, 0)
    await assert.rejects(reader.catchUp(), invalid)
    assert.ok(held())
  })

  it('refuses what an older copy revokes as well, and goes on from the newest when that is back', async () => {
    await add('a')
    await copyFile(path, join(dir, 'old'))
    await add('b')
    await add('c', { until: new Date(Date.now() + 3_600_000).toISOString() })
    const reader = createListReader(path)
    await reader.catchUp()
    await copyFile(path, join(dir, 'newest'))
    await put(await readFile(join(dir, 'old')))
    await assert.rejects(reader.catchUp(), /is older than the list in use/)
    // the command cannot know: what it reports is enforced all the same, also when it has caught up in number
    for (const name of ['d', 'e', 'f', 'g']) {
      await add(name)
      await assert.rejects(reader.catchUp(), /is older than the list in use/)
      for (const value of ['a', 'b', 'c', name])
        assert.ok(reader.index().get('token', value), value)
    }
    await put(await readFile(join(dir, 'newest')))
    await reader.catchUp()
    assert.equal(reader.index().size, 3)
    assert.equal(reader.index().get('token', 'd'), undefined)
  })

  it('gives way to one that was begun later, and to none that was begun before it', async () => {
    await add('a')
    const reader = createListReader(path)
    await reader.catchUp()
    for (const [beganMs, taken] of [
      [Date.now() - 3_600_000, false],
      [Date.now() + 1_000, true],
    ] as const) {
      const other = join(dir, `other-${taken}`)
      await beginList(other, beganMs)
      await addToList(other, entry('x'), Date.now())
      await put(await readFile(other))
      if (taken) await reader.catchUp()
      else await assert.rejects(reader.catchUp(), /is older than the list in use/)
      assert.ok(reader.index().get('token', 'x'))
      assert.equal(reader.index().get('token', 'a') === undefined, taken)
    }
  })

  it('becomes a journal with the first change when an earlier version wrote it, and is followed', async () => {
    const old = {
      revoked: [entry('a'), entry(AGENT('planner'), { kind: 'agent', reason: 'stolen' })],
    }
    await put(JSON.stringify(old, null, 2))
    const reader = createListReader(path)
    await reader.catchUp()
    assert.equal(reader.index().size, 2)
    await copyFile(path, join(dir, 'old'))
    await add('b')
    await add('c')
    await reader.catchUp()
    assert.deepEqual((await values()).toSorted(), ['a', 'b', 'c', AGENT('planner')].toSorted())
    assert.equal(reader.index().size, 4)
    // the document of before is an older copy now
    await put(await readFile(join(dir, 'old')))
    await assert.rejects(reader.catchUp(), /is older than the list in use/)
    await add('d')
    await assert.rejects(reader.catchUp(), /is older than the list in use/)
    for (const value of ['a', 'b', 'c', 'd']) assert.ok(reader.index().get('token', value), value)
  })

  it('is written anew when most of its lines say nothing any more, and every reader agrees', async () => {
    const reader = createListReader(path)
    const follower = createListReader(path)
    let nowMs = Date.now()
    const writer = createListWriter({ path, reader, now: () => nowMs })
    const until = new Date(nowMs - 1).toISOString()
    await add('stays')
    await follower.catchUp()
    const { ino } = await stat(path)
    await Promise.all(
      Array.from({ length: 1_500 }, (_, n) =>
        writer.change(() => ({ add: { ...entry(`ended-${n}`, { until }), by: null } })),
      ),
    )
    await follower.catchUp()
    nowMs += 2_000
    await writer.change(() => ({ add: { ...entry('last'), by: null } }))
    await follower.catchUp()
    await reader.catchUp()
    assert.notEqual((await stat(path)).ino, ino)
    assert.ok((await readFile(path, 'utf8')).split('\n').length < 1_500)
    assert.deepEqual((await values()).toSorted(), ['last', 'stays'])
    for (const one of [reader, follower]) {
      assert.ok(one.index().get('token', 'stays') && one.index().get('token', 'last'))
    }
    assert.equal(reader.state(), follower.state())
    await add('and-on')
    await follower.catchUp()
    assert.ok(follower.index().get('token', 'and-on'))
  })

  it('has room for operators whatever agents have entered, and shares for agents', async () => {
    const { RevokedIndex } = await import('../../../mesh-gateway/src/revocation/revoked-index.ts')
    const shares = { agent: 3, tenant: 5, all: 8, reserved: 2 }
    const index = new RevokedIndex()
    const enter = (by: string, count: number) => {
      for (let n = 0; n < count; n += 1) index.add({ ...entry(`${by.replace('/', '.')}-${n}`), by })
    }
    enter('acme/a', 3)
    assert.equal(index.full('acme/a', shares), 'agent')
    assert.equal(index.full('acme/b', shares), null)
    enter('acme/b', 2)
    assert.equal(index.full('acme/c', shares), 'tenant')
    assert.equal(index.full('globex/a', shares), null)
    enter('globex/a', 3)
    assert.equal(index.full('globex/b', shares), 'all')
    assert.equal(index.full('initech/a', shares), null, 'a tenant that has few is not held back')
    enter('initech/a', 2)
    assert.equal(index.full('initech/a', shares), 'all')
    // an entry that ends, or that an operator takes over, gives its place back
    index.add({ ...entry('acme.a-0'), by: null })
    assert.equal(index.byAgents, 9)
    assert.equal(index.full('acme/a', shares), 'all')
    index.remove('token', 'acme.a-1')
    index.remove('token', 'acme.b-0')
    assert.equal(index.full('acme/a', shares), null)
  })
})
