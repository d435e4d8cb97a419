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

  it('asks about each place once, though files share the way and links lead over it again', async () => {
    const deep = join(dir, 'a/b/c')
    await mkdir(join(deep, '..7'), { recursive: true })
    await symlink('..7', join(deep, '..data'))
    const names = ['tls.crt', 'tls.key', 'ca.crt']
    for (const name of names) {
      await writeFile(join(deep, '..7', name), 'x')
      await symlink(`..data/${name}`, join(deep, name))
    }
    const asked: string[] = []
    await walkTrail({ files: names.map((name) => join(deep, name)) }, counting(asked))
    const watched = [deep, join(deep, '..7'), join(deep, '..')]
    for (const directory of watched) asked.splice(asked.lastIndexOf(directory), 1)
    assert.deepEqual(asked, [...new Set(asked)])
    assert.ok(names.every((name) => asked.includes(join(deep, '..7', name))))
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
