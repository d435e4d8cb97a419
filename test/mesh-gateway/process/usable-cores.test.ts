import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cpuLimit, usableCores } from '../../../mesh-gateway/src/process/usable-cores.ts'

const MODULE = new URL('../../../mesh-gateway/src/process/usable-cores.ts', import.meta.url).href

/** A machine of 16 cores, with the files that the kernel would show. */
function machine(files: Readonly<Record<string, string>>) {
  const all: Readonly<Record<string, string>> = {
    '/proc/self/status': 'Name:\tnode\nCpus_allowed:\tffff\nCpus_allowed_list:\t0-15\n',
    ...files,
  }
  return (path: string) => all[path] ?? null
}

const V2 = {
  '/proc/self/cgroup': '0::/\n',
  '/proc/self/mountinfo': '31 23 0:27 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n',
}

describe('cores that a process may use', () => {
  it('are those of the machine without a cgroup', () => {
    assert.equal(usableCores(machine({})), 16)
    assert.equal(cpuLimit(machine({})), null)
  })

  it('are those that it is bound to', () => {
    const status = 'Cpus_allowed_list:\t0-1,4,8-10\n'
    assert.equal(usableCores(machine({ '/proc/self/status': status })), 6)
  })

  for (const [max, limit, cores] of [
    ['max 100000', null, 16],
    ['400000 100000', 4, 4],
    ['250000 100000', 2.5, 2],
    ['50000 100000', 0.5, 1],
    ['5000 10000', 0.5, 1],
    ['9000000 100000', 90, 16],
    ['', null, 16],
    ['0 0', null, 16],
    ['nonsense', null, 16],
  ] as const)
    it(`are ${cores} with a cpu.max of ${JSON.stringify(max)}`, () => {
      const read = machine({ ...V2, '/sys/fs/cgroup/cpu.max': `${max}\n` })
      assert.deepEqual([cpuLimit(read), usableCores(read)], [limit, cores])
    })

  it('do not depend on the weight, which requests of Kubernetes set', () => {
    const read = machine({
      ...V2,
      '/sys/fs/cgroup/cpu.max': '400000 100000\n',
      '/sys/fs/cgroup/cpu.weight': '20\n',
    })
    assert.equal(usableCores(read), 4)
  })

  it('are bounded by the cgroups above: the pod, the slice', () => {
    const read = machine({
      '/proc/self/cgroup': '0::/kubepods.slice/pod1.slice/cri-1f.scope\n',
      '/proc/self/mountinfo': V2['/proc/self/mountinfo'],
      '/sys/fs/cgroup/kubepods.slice/pod1.slice/cri-1f.scope/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/kubepods.slice/pod1.slice/cpu.max': '300000 100000\n',
      '/sys/fs/cgroup/kubepods.slice/cpu.max': '1200000 100000\n',
    })
    assert.equal(usableCores(read), 3)
  })

  it('are found in version 1, whatever the order of controllers and the name of the mount', () => {
    const read = machine({
      '/proc/self/cgroup': '5:memory:/a\n4:cpuacct,cpu:/kubepods/pod1/1f\n0::/\n',
      '/proc/self/mountinfo':
        '30 20 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n31 20 0:27 / /sys/fs/cgroup/cpu\\040here rw shared:9 - cgroup cgroup rw,cpuacct,cpu\n',
      '/sys/fs/cgroup/cpu here/kubepods/pod1/1f/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/cpu here/kubepods/pod1/1f/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/cpu here/kubepods/pod1/cpu.cfs_quota_us': '200000\n',
      '/sys/fs/cgroup/cpu here/kubepods/pod1/cpu.cfs_period_us': '100000\n',
    })
    assert.equal(usableCores(read), 2)
  })

  for (const [what, cgroup, root] of [
    ['told its path on the host', '/docker/1f', '/docker/1f'],
    ['in a cgroup below the one that is mounted', '/docker/1f/sub', '/docker/1f'],
    ['in a cgroup outside of the one that is mounted', '/../other', '/docker/1f'],
  ] as const)
    it(`are found by a container that is ${what}`, () => {
      const read = machine({
        '/proc/self/cgroup': `4:cpu:${cgroup}\n`,
        '/proc/self/mountinfo': `31 20 0:27 ${root} /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n`,
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '200000\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      })
      assert.equal(usableCores(read), 2)
    })

  it('follow the limit of a real cgroup', function () {
    const dir = makeCgroup()
    if (dir === null) {
      if (process.env.CI === 'true') throw new Error('CI has to let tests make cgroups')
      process.stderr.write('skipped: no cgroup with a CPU controller can be made here\n')
      return this.skip()
    }
    const print = `import(${JSON.stringify(MODULE)}).then((m) => console.log(m.cpuLimit(), m.usableCores()))`
    const run = (quotaUs: number) => {
      if (dir.version === 2) writeFileSync(join(dir.path, 'cpu.max'), `${quotaUs} 100000`)
      else writeFileSync(join(dir.path, 'cpu.cfs_quota_us'), String(quotaUs))
      const enter = 'echo $$ > "$1/cgroup.procs" && exec "$2" --eval "$3"'
      const args = ['-c', enter, 'sh', dir.path, process.execPath, print]
      return execFileSync('sh', args, { encoding: 'utf8' }).trim()
    }
    try {
      assert.deepEqual([run(50_000), run(100_000), run(150_000)], ['0.5 1', '1 1', '1.5 1'])
    } finally {
      rmdirSync(dir.path)
    }
  })
})

/** A cgroup below that of this process; null where there can be none. */
function makeCgroup(): { readonly version: 1 | 2; readonly path: string } | null {
  const name = `clawmesh-cores-${process.pid}`
  for (const [version, root, file] of [
    [1, '/sys/fs/cgroup/cpu', 'cpu.cfs_quota_us'],
    [2, '/sys/fs/cgroup', 'cpu.max'],
  ] as const) {
    const path = join(root, name)
    try {
      mkdirSync(path)
    } catch {
      // not root, or no such hierarchy
      continue
    }
    try {
      readFileSync(join(path, file))
      return { version, path }
    } catch {
      // the controller is not there
      rmdirSync(path)
    }
  }
  return null
}
