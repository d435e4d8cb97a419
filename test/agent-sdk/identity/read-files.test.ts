/** The three files of an identity are of one generation: when a link is swapped meanwhile, they are read again. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { createDisk, type Disk } from '../../../agent-sdk/src/files/disk.ts'
import { FileFault } from '../../../agent-sdk/src/files/file-fault.ts'
import { IDENTITY_FILES, readIdentityFiles } from '../../../agent-sdk/src/identity/read-files.ts'

describe('the files of an identity', () => {
  let dir: string
  beforeEach(async () => {
    dir = await realpath(await mkdtemp(join(tmpdir(), 'clawmesh-files-')))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  async function release(name: string): Promise<void> {
    await mkdir(join(dir, name))
    for (const file of IDENTITY_FILES) await writeFile(join(dir, name, file), `${name} ${file}`)
  }

  async function point(to: string): Promise<void> {
    await symlink(to, join(dir, 'new'))
    await rename(join(dir, 'new'), join(dir, 'current'))
  }

  /** Does something before each question to the disk; the first three are where the links lead, the next three the files. */
  function disturbed(
    before: (question: number, path: string) => Promise<unknown>,
  ): Disk & { asked: string[] } {
    const disk = createDisk()
    const asked: string[] = []
    return {
      asked,
      hanging: disk.hanging,
      run: (path, work) =>
        disk.run(path, async () => {
          asked.push(basename(path))
          await before(asked.length, path)
          return work()
        }),
    }
  }

  it('are all three, whatever their order, and a digest of them', async () => {
    await release('1')
    await point('1')
    const files = await readIdentityFiles(join(dir, 'current'))
    assert.equal(files.certificate, '1 tls.crt')
    assert.equal(files.privateKey.reveal(), '1 tls.key')
    assert.equal(files.roots, '1 ca.crt')
    assert.match(files.digest, /^[0-9a-f]{64}$/)
  })

  it('have one digest for one content, and another when a byte moves from one to the next', async () => {
    await release('1')
    const digest = async () => (await readIdentityFiles(join(dir, '1'))).digest
    const first = await digest()
    assert.equal(await digest(), first)
    for (const file of IDENTITY_FILES) {
      await writeFile(join(dir, '1', file), 'other')
      assert.notEqual(await digest(), first)
      await writeFile(join(dir, '1', file), `1 ${file}`)
    }
    await writeFile(join(dir, '1', 'tls.crt'), '1 tls.crt1')
    await writeFile(join(dir, '1', 'tls.key'), ' tls.key')
    assert.notEqual(await digest(), first)
  })

  it('are read again when the directory is swapped while they are read', async () => {
    await release('1')
    await release('2')
    await point('1')
    const disk = disturbed(async (question) => {
      // the first file has been read
      if (question === 5) await point('2')
    })
    const files = await readIdentityFiles(join(dir, 'current'), disk)
    assert.deepEqual(
      [files.certificate, files.privateKey.reveal(), files.roots],
      ['2 tls.crt', '2 tls.key', '2 ca.crt'],
    )
    assert.equal(disk.asked.length, 18)
  })

  it('are read again when one of them alone is swapped, and the others stay', async () => {
    await release('1')
    await release('2')
    await mkdir(join(dir, 'current'))
    for (const file of IDENTITY_FILES) await symlink(`../1/${file}`, join(dir, 'current', file))
    const disk = disturbed(async (question) => {
      if (question !== 6) return
      await symlink('../2/tls.key', join(dir, 'new'))
      await rename(join(dir, 'new'), join(dir, 'current', 'tls.key'))
    })
    const files = await readIdentityFiles(join(dir, 'current'), disk)
    assert.deepEqual(
      [files.certificate, files.privateKey.reveal(), files.roots],
      ['1 tls.crt', '2 tls.key', '1 ca.crt'],
    )
  })

  it('are read again when the old ones are gone before they are read', async () => {
    await release('1')
    await release('2')
    await point('1')
    const disk = disturbed(async (question) => {
      if (question !== 4) return
      await point('2')
      await rm(join(dir, '1'), { recursive: true })
    })
    assert.equal((await readIdentityFiles(join(dir, 'current'), disk)).roots, '2 ca.crt')
  })

  it('are given up after five attempts, when they keep changing', async () => {
    await release('1')
    await release('2')
    await point('1')
    const disk = disturbed(async (question) => {
      if (question % 6 === 4) await point(question % 12 === 4 ? '2' : '1')
    })
    await assert.rejects(readIdentityFiles(join(dir, 'current'), disk), {
      code: 'MESH_IDENTITY_UNREADABLE',
      message: `cannot read the identity in ${join(dir, 'current')}: it keeps changing`,
    })
    assert.equal(disk.asked.length, 5 * 9)
  })

  it('are asked for five times when one is missing, since that may be a swap, and then it is said', async () => {
    await release('1')
    await rm(join(dir, '1', 'ca.crt'))
    const disk = disturbed(async () => {})
    await assert.rejects(readIdentityFiles(join(dir, '1'), disk), {
      code: 'MESH_IDENTITY_UNREADABLE',
      message: `cannot read the identity in ${join(dir, '1')}: there is no ca.crt`,
    })
    assert.equal(disk.asked.filter((name) => name === 'ca.crt').length, 5)
  })

  it('are named when one is missing or may not be read, and so is a directory that is not there', async () => {
    await release('1')
    const at = join(dir, '1')
    const denied: Disk = {
      hanging: () => [],
      run: (path) =>
        Promise.reject(Object.assign(new Error('no'), { code: 'EACCES', path: join(at, path) })),
    }
    for (const [place, message, disk] of [
      [join(dir, 'none'), 'there is no such directory', undefined],
      [join(at, 'tls.crt'), 'it is not a directory', undefined],
      [at, 'tls.crt: EACCES', denied],
    ] as const)
      await assert.rejects(readIdentityFiles(place, disk), {
        code: 'MESH_IDENTITY_UNREADABLE',
        message: `cannot read the identity in ${place}: ${message}`,
      })
  })

  it('are asked for once when it would not get better', async () => {
    await release('1')
    await rm(join(dir, '1', 'tls.key'))
    await mkdir(join(dir, '1', 'tls.key'))
    const disk = disturbed(async () => {})
    await assert.rejects(readIdentityFiles(join(dir, '1'), disk), (error) => {
      assert.ok(error instanceof MeshError && error.code === 'MESH_IDENTITY_UNREADABLE')
      assert.equal(error.message, 'tls.key is not a regular file')
      assert.ok(error.cause instanceof FileFault)
      return true
    })
    assert.equal(disk.asked.filter((name) => name === 'tls.key').length, 2)
  })

  it('may be as large as their kind needs, and no larger', async () => {
    for (const [file, maxBytes] of [
      ['tls.crt', 262_144],
      ['tls.key', 65_536],
      ['ca.crt', 1_048_576],
    ] as const) {
      await release(file)
      await writeFile(join(dir, file, file), Buffer.alloc(maxBytes))
      await readIdentityFiles(join(dir, file))
      await writeFile(join(dir, file, file), Buffer.alloc(maxBytes + 1))
      await assert.rejects(readIdentityFiles(join(dir, file)), {
        code: 'MESH_IDENTITY_UNREADABLE',
        message: `${file} is larger than ${maxBytes} bytes`,
      })
    }
  })

  it('of a disk that does not answer are not blamed one by one', async () => {
    await release('1')
    const mute: Disk = {
      hanging: () => [],
      run: () => Promise.reject(new FileFault('NO_ANSWER', 'the disk did not answer within 5 s')),
    }
    await assert.rejects(readIdentityFiles(join(dir, '1'), mute), {
      code: 'MESH_IDENTITY_UNREADABLE',
      message: `cannot read the identity in ${join(dir, '1')}: the disk did not answer within 5 s`,
    })
  })
})
