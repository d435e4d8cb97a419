import assert from 'node:assert/strict'
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDisk, type Disk } from '../../../agent-sdk/src/files/disk.ts'
import { walkTrail } from '../../../agent-sdk/src/files/link-trail.ts'

describe('the trail of links to files', () => {
  let dir: string
  beforeEach(async () => {
    dir = await realpath(await mkdtemp(join(tmpdir(), 'clawmesh-trail-')))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  it('costs one question for each path that leads through no link, however deep it is', async () => {
    const deep = join(dir, 'a/b/c/d/e/f')
    await mkdir(deep, { recursive: true })
    const files = ['tls.crt', 'tls.key', 'ca.crt'].map((name) => join(deep, name))
    for (const file of files) await writeFile(file, 'x')
    const asked: string[] = []
    const trail = await walkTrail({ files }, counting(asked))
    assert.deepEqual([...trail.entries].toSorted(), [deep, ...files].toSorted())
    // and one for each directory that is watched: that of the files, and the one above it
    assert.deepEqual(asked.toSorted(), [...files, deep, join(deep, '..')].toSorted())
  })

  it('names every link on the way, and where it ends', async () => {
    await mkdir(join(dir, 'releases/7'), { recursive: true })
    await writeFile(join(dir, 'releases/7/tls.crt'), 'x')
    await symlink('releases/7', join(dir, 'current'))
    await symlink('current/tls.crt', join(dir, 'tls.crt'))
    const trail = await walkTrail({ files: [join(dir, 'tls.crt')] }, createDisk())
    for (const entry of ['tls.crt', 'current', 'releases/7/tls.crt'])
      assert.ok(trail.entries.has(join(dir, entry)), entry)
  })

  it('ends where something is missing, and in a loop of links', async () => {
    await symlink('b', join(dir, 'a'))
    await symlink('a', join(dir, 'b'))
    const files = [join(dir, 'a'), join(dir, 'none/tls.crt')]
    const trail = await walkTrail({ files }, createDisk())
    for (const entry of ['a', 'b', 'none']) assert.ok(trail.entries.has(join(dir, entry)), entry)
  })

  function counting(asked: string[]): Disk {
    const disk = createDisk()
    return {
      ...disk,
      run(path, work) {
        asked.push(path)
        return disk.run(path, work)
      },
    }
  }
})
