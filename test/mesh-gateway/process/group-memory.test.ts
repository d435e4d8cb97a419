import assert from 'node:assert/strict'
import { openGroupMemory } from '../../../mesh-gateway/src/process/group-memory.ts'

const GIB = 2 ** 30
const V1 = '35 31 0:32 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n'
const V2 = '31 23 0:27 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n'

/** On a machine of 8 GiB, with the files that the kernel would show. */
const open = (files: Readonly<Record<string, string>>) =>
  openGroupMemory({ readText: (path) => files[path] ?? null, machineBytes: 8 * GIB })

describe('the memory of the control group', () => {
  it('is that of cgroup v2, without the pages of files', () => {
    const memory = open({
      '/proc/self/cgroup': '0::/system.slice/gateway.service\n',
      '/proc/self/mountinfo': V2,
      '/sys/fs/cgroup/system.slice/gateway.service/memory.max': '268435456\n',
      '/sys/fs/cgroup/system.slice/gateway.service/memory.current': '200000000\n',
      '/sys/fs/cgroup/system.slice/gateway.service/memory.stat':
        'anon 90\nfile 70000000\nactive_file 20000000\ninactive_file 50000000\nslab_reclaimable 5000000\nslab_unreclaimable 7\n',
    })
    assert.equal(memory?.limitBytes, 268_435_456)
    assert.equal(memory?.usedBytes(), 125_000_000)
  })

  it('is the lowest limit of all groups above', () => {
    const memory = open({
      '/proc/self/cgroup': '0::/a/b\n',
      '/proc/self/mountinfo': V2,
      '/sys/fs/cgroup/a/b/memory.max': 'max\n',
      '/sys/fs/cgroup/a/b/memory.current': '1\n',
      '/sys/fs/cgroup/a/memory.max': '1000\n',
      '/sys/fs/cgroup/a/memory.current': '700\n',
      '/sys/fs/cgroup/a/memory.stat': '',
      '/sys/fs/cgroup/memory.max': '2000\n',
    })
    assert.equal(memory?.limitBytes, 1000)
    assert.equal(memory?.usedBytes(), 700)
  })

  it('is that of cgroup v1, in a container that sees its own group at the root', () => {
    const memory = open({
      '/proc/self/cgroup': '9:name=systemd:/\n4:memory:/docker/1f\n1:cpu:/docker/1f\n0::/\n',
      '/proc/self/mountinfo': V1.replace(' / ', ' /docker/1f '),
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '268435456\n',
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': '100\n',
      '/sys/fs/cgroup/memory/memory.stat':
        'cache 60\ninactive_file 1\ntotal_inactive_file 30\ntotal_active_file 20\n',
    })
    assert.equal(memory?.limitBytes, 268_435_456)
    assert.equal(memory?.usedBytes(), 50)
  })

  it('is none without a limit, with one that is beyond the machine, and without control groups', () => {
    assert.equal(open({ '/proc/self/cgroup': '0::/\n', '/proc/self/mountinfo': V2 }), null)
    const unlimited = open({
      '/proc/self/cgroup': '4:memory:/\n',
      '/proc/self/mountinfo': V1,
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    })
    assert.equal(unlimited, null)
    assert.equal(open({}), null)
  })
})
