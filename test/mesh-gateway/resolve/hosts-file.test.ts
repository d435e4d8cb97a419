import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createResolver } from '../../../mesh-gateway/src/resolve/create-resolver.ts'
import { createHostsFile, parseHosts } from '../../../mesh-gateway/src/resolve/hosts-file.ts'
import { makeNamedPipe, needNamedPipes } from '../../support/named-pipe.ts'

describe('the hosts file', () => {
  let dir: string
  let path: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-hosts-'))
    path = join(dir, 'hosts')
  })
  afterEach(() => rm(dir, { recursive: true }))

  it('is read as the C library reads it: comments, aliases, several lines, any case, lines that are no good', () => {
    const table = parseHosts(
      '# 9.9.9.9 a.test\n 10.0.0.1\tA.test  b.test # c.test\r\n::1 a.test\n10.0.0.1 a.test\nnonsense a.test\n10.0.0.2\n',
    )
    assert.deepEqual(
      [...table],
      [
        ['a.test', ['10.0.0.1', '::1']],
        ['b.test', ['10.0.0.1']],
      ],
    )
  })

  it('is read again when it has changed, and holds nothing once it is gone', async () => {
    const hosts = createHostsFile(path)
    assert.deepEqual(await hosts.addresses('a.test'), [])
    await writeFile(path, '10.0.0.1 a.test\n')
    assert.deepEqual(await hosts.addresses('a.test'), ['10.0.0.1'])
    await writeFile(path, '10.0.0.20 a.test\n')
    assert.deepEqual(await hosts.addresses('a.test'), ['10.0.0.20'])
    await rm(path)
    assert.deepEqual(await hosts.addresses('a.test'), [])
  })

  it('stays as it was while it cannot be read, and is read again when it is back', async () => {
    const hosts = createHostsFile(path)
    const away = join(dir, 'away')
    await writeFile(path, '10.0.0.1 a.test\n')
    assert.deepEqual(await hosts.addresses('a.test'), ['10.0.0.1'])
    // what stands there for the moment is no file
    await rename(path, away)
    await mkdir(path)
    assert.deepEqual(await hosts.addresses('a.test'), ['10.0.0.1'])
    await rm(path, { recursive: true })
    assert.deepEqual(await hosts.addresses('a.test'), [])
    // the very same file comes back
    await rename(away, path)
    assert.deepEqual(await hosts.addresses('a.test'), ['10.0.0.1'])
  })

  it('holds nothing up when it is a pipe that nobody writes to', async function () {
    needNamedPipes(this)
    makeNamedPipe(path)
    assert.deepEqual(await createHostsFile(path).addresses('a.test'), [])
  })

  it('is asked before the system, with and without the trailing dot', async () => {
    await writeFile(path, '10.0.0.1 listed.invalid\n')
    const resolver = createResolver({ hostsFile: path })
    for (const name of ['listed.invalid', 'listed.invalid.'])
      assert.deepEqual(
        (await resolver.addresses(name)).map(({ ip }) => ip),
        ['10.0.0.1'],
      )
    resolver.close()
  })
})
