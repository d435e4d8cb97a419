/** The runner of `npm run test:deploy` (test/deploy/run-part.ts), with test files made on the spot. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, rmdirSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { missingPackages } from '../deploy/debian-packages.ts'
import { changedSysctls, leftSince, onMachine, sysctlValues } from '../deploy/leftovers.ts'
import { runPart } from '../deploy/run-part.ts'
import { whyNoNameSpace } from '../support/name-space.ts'

describe('the runner of the tests of deploy', () => {
  let dir: string
  before(async function () {
    const why = process.geteuid?.() === 0 ? whyNoNameSpace() : 'only root runs the tests of deploy'
    if (why !== null) {
      process.stderr.write(`skipped: ${why}\n`)
      this.skip()
    }
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-runner-'))
  })
  after(() => (dir === undefined ? undefined : rm(dir, { recursive: true })))

  const run = async (text: string, maxMinutes = 1) => {
    const file = join(dir, 'part.test.mjs')
    await writeFile(file, `import { execSync, spawn } from 'node:child_process'\n${text}`)
    return runPart({ name: 'part', files: [file], maxMinutes, settleMs: 100, silent: true })
  }

  it('counts what passed and what failed', async () => {
    const { passes, failures, failed } = await run(
      "it('a', () => {})\nit('b', () => { throw new Error('no') })",
    )
    assert.deepEqual(
      { passes, failures, failed },
      { passes: 1, failures: 1, failed: ['b: Error: no'] },
    )
  })

  it('takes a test that was skipped for a failure', async () => {
    const { passes, failures, failed } = await run("it('a', () => {})\nit.skip('b', () => {})")
    assert.deepEqual(
      { passes, failures, failed },
      { passes: 1, failures: 1, failed: ['b: it was skipped'] },
    )
  })

  it('names a process, a mount and a network namespace that are left behind, and removes them', async () => {
    const { passes, failures, failed } = await run(`it('a', () => {
      const child = spawn('sleep', ['3600'], { detached: true, stdio: 'ignore' })
      child.unref()
      execSync('mkdir ${dir}/mounted && mount -t tmpfs tmpfs ${dir}/mounted && touch ${dir}/mounted/file')
      execSync('ip netns add left')
    })`)
    assert.equal(passes, 1)
    assert.equal(failures, failed.length)
    for (const what of [
      /^part leaves behind: process \d+ sleep 3600$/,
      new RegExp(`^part leaves behind: mount ${dir}/mounted `),
      /^part leaves behind: network namespace left$/,
    ])
      assert.ok(
        failed.some((title) => what.test(title)),
        `${what} of ${failed.join('\n')}`,
      )
    assert.equal(existsSync(join(dir, 'mounted/file')), false)
    assert.doesNotMatch(
      await readFile('/proc/self/mountinfo', 'utf8'),
      /clawmesh-runner-\w+\/mounted/,
    )
  })

  it('ends a part that takes too long, and tells so', async () => {
    const { failures, failed } = await run(
      "it('a', function (done) { this.timeout(0); setTimeout(done, 3_600_000) })",
      0.05,
    )
    assert.deepEqual(
      { failures, failed },
      { failures: 1, failed: ['part was ended after 0.05 minutes'] },
    )
  })

  it('fails for a part whose tests do not get to their end', async () => {
    const { failures, failed } = await run('process.exit(0)')
    assert.deepEqual({ failures, failed }, { failures: 1, failed: ['part did not run to its end'] })
  })

  it('sees a control group that stays, and a sysctl that has another value', async () => {
    const before = onMachine()
    const parent = existsSync('/sys/fs/cgroup/cpu') ? '/sys/fs/cgroup/cpu' : '/sys/fs/cgroup'
    const cgroup = join(parent, `clawmesh-left-${process.pid}`)
    mkdirSync(cgroup)
    try {
      assert.ok((await leftSince(before, onMachine, 0)).includes(`cgroup ${cgroup}`))
    } finally {
      rmdirSync(cgroup)
    }
    const values = new Map(sysctlValues())
    const path = '/proc/sys/kernel/ostype'
    assert.equal(values.get(path), 'Linux')
    assert.deepEqual(changedSysctls(new Map([[path, 'Other']])), [
      `sysctl ${path} = Linux, which was Other`,
    ])
  })

  it('finds out which Debian packages are missing', () => {
    assert.deepEqual(missingPackages(['bash', 'no-such-package', 'no-such-package']), [
      'no-such-package',
    ])
  })
})
