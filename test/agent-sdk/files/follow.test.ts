import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDisk } from '../../../agent-sdk/src/files/disk.ts'
import {
  type Followed,
  type FollowOptions,
  type FollowOutcome,
  followFiles,
} from '../../../agent-sdk/src/files/follow.ts'
import { readWhole } from '../../../agent-sdk/src/files/read-whole.ts'

/** Far longer than any test: what is seen was seen by other means. */
const NEVER_MS = 3_600_000

describe('the follower of files', () => {
  let base: string
  let file: string
  let followed: Followed<string> | null = null
  let said: string[]
  const log = {
    debug() {},
    info: (_: object, text: string) => void said.push(`info ${text}`),
    warn: (_: object, text: string) => void said.push(`warn ${text}`),
    error: (_: object, text: string) => void said.push(`error ${text}`),
  }
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'clawmesh-follow-'))
    file = join(base, 'file')
    said = []
    await writeFile(file, 'one')
  })
  afterEach(async () => {
    await followed?.close()
    followed = null
    await rm(base, { recursive: true, force: true })
  })

  /** A text is good unless it begins with `bad`. */
  async function open(options: Partial<FollowOptions<string>> = {}): Promise<Followed<string>> {
    const { files = [file] } = options
    const [path = file] = files
    followed = await followFiles<string>({
      what: 'the text',
      files,
      async read(disk) {
        const text = (await readWhole(path, { maxBytes: 100, disk })).toString()
        return { digest: text, parse: () => check(text) }
      },
      pollMs: NEVER_MS,
      debounceMs: 10,
      log,
      ...options,
    })
    return followed
  }

  function check(text: string): string {
    if (text.startsWith('bad')) throw new Error(text)
    return text
  }

  const warnings = () => said.filter((line) => line.startsWith('warn'))

  function changed(watched: Followed<string>, value: string): Promise<void> {
    return new Promise((resolve) => {
      const end = watched.onChange((next) => {
        if (next !== value) return
        end()
        resolve()
      })
    })
  }

  function reloaded(watched: Followed<string>, ok: boolean): Promise<FollowOutcome> {
    return new Promise((resolve) => {
      const end = watched.onReload((outcome) => {
        if (outcome.ok !== ok) return
        end()
        resolve(outcome)
      })
    })
  }

  it('has the first value, and takes the next one over as the next generation', async () => {
    const watched = await open({ debounceMs: NEVER_MS })
    assert.deepEqual([watched.current(), watched.generation()], ['one', 1])
    assert.equal(watched.lastReload().ok, true)
    await writeFile(file, 'two')
    assert.equal(await watched.reload(), true)
    assert.deepEqual([watched.current(), watched.generation()], ['two', 2])
    assert.equal(await watched.reload(), true)
    assert.equal(watched.generation(), 2)
  })

  it('does not open without a good first value, nor with a time that is none', async () => {
    await writeFile(file, 'bad')
    await assert.rejects(open(), /bad/)
    for (const options of [{ pollMs: 0 }, { debounceMs: Number.NaN }, { timeoutMs: -1 }])
      await assert.rejects(open(options), TypeError)
  })

  it('keeps the last good value, says once of each problem why, and when it is over', async () => {
    const watched = await open({ debounceMs: NEVER_MS })
    const outcomes: boolean[] = []
    watched.onReload(({ ok }) => outcomes.push(ok))
    for (const content of ['bad', 'bad', 'bad worse', 'one', 'one']) {
      await writeFile(file, content)
      assert.equal(await watched.reload(), content === 'one')
    }
    assert.deepEqual(said, [
      'warn the text: not reloaded, the last good one stays',
      'warn the text: not reloaded, the last good one stays',
      'info the text: good again, and the same',
    ])
    assert.deepEqual(outcomes, [false, false, true])
    assert.deepEqual([watched.current(), watched.generation()], ['one', 1])
    said.length = 0
    for (const content of ['two', 'bad', 'three']) {
      await writeFile(file, content)
      await watched.reload()
    }
    assert.deepEqual(said, [
      'info the text: reloaded',
      'warn the text: not reloaded, the last good one stays',
      'info the text: good again, and reloaded',
    ])
  })

  it('sees by watching: a write, a rename, a file that is gone and comes again', async () => {
    const watched = await open()
    const second = changed(watched, 'two')
    await writeFile(file, 'two')
    await second
    const third = changed(watched, 'three')
    await writeFile(join(base, 'next'), 'three')
    await rename(join(base, 'next'), file)
    await third
    const gone = reloaded(watched, false)
    await rm(file)
    await gone
    const fourth = changed(watched, 'four')
    await writeFile(file, 'four')
    await fourth
  })

  it('sees a link swapped on the way to the files, again and again', async () => {
    for (const release of ['1', '2', '3']) {
      await mkdir(join(base, 'releases', release), { recursive: true })
      await writeFile(join(base, 'releases', release, 'file'), release)
    }
    await symlink('releases/1', join(base, 'current'))
    const watched = await open({ files: [join(base, 'current', 'file')] })
    for (const release of ['2', '3', '1']) {
      const seen = changed(watched, release)
      await symlink(`releases/${release}`, join(base, 'tmp'))
      await rename(join(base, 'tmp'), join(base, 'current'))
      await seen
    }
  })

  it('sees whatever happens in a directory that is followed whole', async () => {
    const dir = join(base, 'all')
    await mkdir(dir)
    let names = ''
    const watched = await open({
      files: [],
      directories: [dir],
      async read() {
        const found = names
        return { digest: found, parse: () => found }
      },
    })
    const seen = changed(watched, 'any name')
    names = 'any name'
    await writeFile(join(dir, 'any name'), '')
    await seen
  })

  it('looks again when the watch stands: a change before it is not missed', async () => {
    let reads = 0
    const watched = await open({
      async read() {
        reads += 1
        const text = reads === 1 ? 'one' : 'changed before the watch stood'
        return { digest: text, parse: () => text }
      },
    })
    await changed(watched, 'changed before the watch stood')
  })

  it('sees by polling what no watch tells', async () => {
    const watched = await open({ pollMs: 20, debounceMs: NEVER_MS })
    const seen = changed(watched, 'two')
    await writeFile(file, 'two')
    await seen
  })

  it('acts on a burst of changes that does not end', async () => {
    const watched = await open({ debounceMs: 40 })
    const seen = reloaded(watched, true)
    let going = true
    const storm = (async () => {
      for (let count = 0; going; count += 1) {
        await writeFile(file, `${count}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })()
    await seen
    going = false
    await storm
  })

  it('believes half a file in no case when it needs two readings that agree', async () => {
    const contents = ['one', 'half', 'whole', 'whole', 'whole']
    const proved: string[] = []
    const watched = await open({
      settle: 'twice',
      debounceMs: 1,
      async read() {
        const text = contents.length > 1 ? contents.shift() : contents[0]
        return {
          digest: text ?? '',
          parse() {
            proved.push(text ?? '')
            return text ?? ''
          },
        }
      },
    })
    await watched.reload()
    assert.equal(watched.current(), 'whole')
    assert.deepEqual(proved, ['one', 'whole'])
  })

  it('judges content that never holds still all the same', async () => {
    let count = 0
    const watched = await open({
      settle: 'twice',
      debounceMs: 1,
      async read() {
        count += 1
        const text = `${count}`
        return { digest: text, parse: () => text }
      },
    })
    assert.equal(await watched.reload(), true)
    assert.notEqual(watched.current(), '1')
  })

  it('waits for a proof that takes time before it tells anybody', async () => {
    const proof = Promise.withResolvers<string>()
    const watched = await open({
      async read() {
        const text = (await readWhole(file, { maxBytes: 100 })).toString()
        return { digest: text, parse: () => (text === 'one' ? text : proof.promise) }
      },
    })
    await writeFile(file, 'two')
    const reload = watched.reload()
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(watched.current(), 'one')
    proof.resolve('proved')
    assert.equal(await reload, true)
    assert.equal(watched.current(), 'proved')
  })

  it('reads once at a time, and again for what was asked meanwhile', async () => {
    let going = 0
    let reads = 0
    const watched = await open({
      async read(disk) {
        going += 1
        reads += 1
        assert.equal(going, 1)
        const text = (await readWhole(file, { maxBytes: 100, disk })).toString()
        going -= 1
        return { digest: text, parse: () => text }
      },
    })
    await watched.reload()
    const before = reads
    await Promise.all([watched.reload(), watched.reload(), watched.reload(), watched.reload()])
    assert.ok(reads - before >= 2 && reads - before <= 3, `${reads - before} reads`)
  })

  it('tells every listener, though one of them fails, and goes on', async () => {
    const watched = await open({ debounceMs: NEVER_MS })
    const told: string[] = []
    watched.onChange(() => {
      throw new Error('a listener')
    })
    watched.onChange((value) => told.push(value))
    for (const content of ['two', 'three']) {
      await writeFile(file, content)
      assert.equal(await watched.reload(), true)
    }
    assert.deepEqual(told, ['two', 'three'])
    const failures = said.filter((line) => line === 'error a listener to the text failed')
    assert.equal(failures.length, 2)
  })

  it('gives a reading that never returns up, warns once, begins no other, and goes on when it returns', async () => {
    const hung = Promise.withResolvers<void>()
    let reads = 0
    const watched = await open({
      timeoutMs: 30,
      pollMs: 5,
      async read() {
        reads += 1
        if (reads === 2) await hung.promise
        const text = reads < 3 ? 'one' : 'two'
        return { digest: text, parse: () => text }
      },
    })
    const outcome = await reloaded(watched, false)
    assert.match(String(outcome.error), /no answer within 0\.03 s/)
    for (let count = 0; count < 5; count += 1) assert.equal(await watched.reload(), false)
    assert.equal(reads, 2)
    assert.equal(warnings().length, 1)
    const seen = changed(watched, 'two')
    hung.resolve()
    await seen
    assert.equal(watched.lastReload().ok, true)
  })

  it('says once that the disk does not answer, whichever file it was asked for', async () => {
    const disk = createDisk({ timeoutMs: 20 })
    let hang = false
    const watched = await open({
      disk,
      async read(asked) {
        for (const name of hang ? ['a', 'b'] : [])
          await asked.run(join(base, name), () => new Promise(() => {}))
        return { digest: 'one', parse: () => 'one' }
      },
    })
    hang = true
    for (let count = 0; count < 3; count += 1) assert.equal(await watched.reload(), false)
    assert.equal(warnings().length, 1)
    assert.deepEqual(disk.hanging(), [join(base, 'a')])
  })

  it('waits at its end for nothing that hangs, and tells nobody anything after it', async () => {
    let reads = 0
    const watched = await open({
      read: async () => {
        reads += 1
        if (reads > 1) await new Promise(() => {})
        return { digest: 'one', parse: () => 'one' }
      },
    })
    const told: unknown[] = []
    watched.onReload((outcome) => told.push(outcome))
    const reload = watched.reload()
    await watched.close()
    assert.equal(await reload, false)
    assert.equal(await watched.reload(), false)
    assert.deepEqual(told, [])
    assert.deepEqual(warnings(), [])
  })

  it('keeps no process alive', () => {
    const script = `
      import { followFiles } from '@clawmesh/agent-sdk/mesh'
      const file = process.argv[1]
      const read = async () => ({ digest: 'x', parse: () => 'x' })
      const followed = await followFiles({ what: 'x', files: [file], read, settle: 'twice' })
      console.log(followed.current())`
    const args = ['--input-type=module', '-e', script, file]
    const ran = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 })
    assert.deepEqual([ran.status, ran.stdout.trim()], [0, 'x'], ran.stderr)
  })
})
