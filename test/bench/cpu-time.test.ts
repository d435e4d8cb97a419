import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpuNanoseconds,
  parseSchedstat,
  parseStat,
  residentBytes,
  withDescendants,
} from '../../bench/measure/cpu-time.ts'

describe('CPU time of a process', () => {
  it('is read from schedstat and from stat, whatever the process is called', () => {
    assert.equal(parseSchedstat('2086308911 120 77\n'), 2_086_308_911)
    assert.equal(parseSchedstat(''), null)
    const head = '4711 (a (very) odd name) S 1 2 3 4 5 6 7 8 9 10'
    assert.equal(parseStat(`${head} 150 50 0 0 20`), 2_000_000_000)
    assert.equal(parseStat('garbage'), null)
  })

  it('grows with what the process does, and not with what it sleeps', function () {
    if (process.platform !== 'linux') this.skip()
    const own = [process.pid]
    const before = cpuNanoseconds(own)
    const until = process.cpuUsage().user + 50_000
    while (process.cpuUsage().user < until);
    const used = cpuNanoseconds(own) - before
    assert.ok(used > 40e6 && used < 1000e6, `${used} ns for 50 ms`)
    assert.ok((residentBytes(process.pid) ?? 0) > 10e6)
  })

  it('counts children, and nothing for those that have gone', async function () {
    if (process.platform !== 'linux') this.skip()
    const script = 'process.stdin.resume()'
    const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'ignore', 'ignore'] })
    await once(child, 'spawn')
    const pid = child.pid ?? 0
    assert.ok(withDescendants(process.pid).includes(pid))
    child.stdin.end()
    await once(child, 'close')
    assert.equal(cpuNanoseconds([pid]), 0)
    assert.equal(residentBytes(pid), null)
    assert.deepEqual(withDescendants(pid), [pid])
  })
})
