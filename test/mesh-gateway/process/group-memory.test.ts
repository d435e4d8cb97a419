import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openGroupMemory } from '../../../mesh-gateway/src/process/group-memory.ts'

const GIB = 2 ** 30

describe('the memory of the control group', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-group-'))
  })
  afterEach(() => rm(dir, { recursive: true }))

  const write = async (files: Readonly<Record<string, string>>) => {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(dir, name)), { recursive: true })
      await writeFile(join(dir, name), text)
    }
  }
  const open = () =>
    openGroupMemory({ root: join(dir, 'cgroup'), self: join(dir, 'self'), machineBytes: 8 * GIB })

  it('is that of cgroup v2, without the pages of files', async () => {
    await write({
      self: '0::/system.slice/gateway.service\n',
      'cgroup/system.slice/gateway.service/memory.max': '268435456\n',
      'cgroup/system.slice/gateway.service/memory.current': '200000000\n',
      'cgroup/system.slice/gateway.service/memory.stat':
        'anon 90\nfile 70000000\nactive_file 20000000\ninactive_file 50000000\nslab_reclaimable 5000000\nslab_unreclaimable 7\n',
    })
    const memory = open()
    assert.equal(memory?.limitBytes, 268_435_456)
    assert.equal(memory?.usedBytes(), 125_000_000)
  })

  it('is the lowest limit of all groups above', async () => {
    await write({
      self: '0::/a/b\n',
      'cgroup/a/b/memory.max': 'max\n',
      'cgroup/a/b/memory.current': '1\n',
      'cgroup/a/memory.max': '1000\n',
      'cgroup/a/memory.current': '700\n',
      'cgroup/a/memory.stat': '',
    })
    assert.equal(open()?.limitBytes, 1000)
    assert.equal(open()?.usedBytes(), 700)
  })

  it('is that of cgroup v1, in a container that sees its own group at the root', async () => {
    await write({
      self: '9:name=systemd:/\n4:memory:/docker/abc\n1:cpu:/docker/abc\n0::/\n',
      'cgroup/memory/memory.limit_in_bytes': '268435456\n',
      'cgroup/memory/memory.usage_in_bytes': '100\n',
      'cgroup/memory/memory.stat':
        'cache 60\ninactive_file 1\ntotal_inactive_file 30\ntotal_active_file 20\n',
    })
    assert.equal(open()?.limitBytes, 268_435_456)
    assert.equal(open()?.usedBytes(), 50)
  })

  it('is none without a limit, with one that is beyond the machine, and without control groups', async () => {
    await write({ self: '0::/\n' })
    assert.equal(open(), null)
    await write({
      self: '4:memory:/\n',
      'cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    })
    assert.equal(open(), null)
    assert.equal(openGroupMemory({ root: dir, self: join(dir, 'missing') }), null)
  })
})
