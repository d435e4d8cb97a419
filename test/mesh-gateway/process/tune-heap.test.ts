import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

const SOURCE = new URL('../../../mesh-gateway/src/process/tune-heap.ts', import.meta.url)
const TUNED = `const { tuneHeap } = await import(${JSON.stringify(SOURCE.href)}); tuneHeap()`

describe('buffers that die young', () => {
  it('do not make V8 collect all of its heap over and over, when they are counted as heap', () => {
    const before = fullCollections('')
    const after = fullCollections(TUNED)
    assert.ok(before >= 8, `${before} without: the setting may not be needed any more`)
    assert.ok(after <= before / 2, `${after} full collections, ${before} without`)
  })

  it('are given back all the same: what is held is bounded', () => {
    const peak = Number.parseFloat(stream(TUNED, 'process.resourceUsage().maxRSS / 1024'))
    assert.ok(peak < 1_000, `${peak} MB for 4 GB of buffers, of which 2 MB were used at any time`)
  })
})

describe('what a call allocates', () => {
  it('is not born old because a burst at the start outlived two collections', () => {
    // chance decides in each process
    const processes = [1, 2, 3, 4, 5]
    assert.ok(
      processes.some(() => kindsBornOld('') > 0),
      'in none of five without: the setting may not be needed any more',
    )
    assert.equal(kindsBornOld(TUNED), 0)
  })
})

function fullCollections(first: string): number {
  const counted = `statistics.filter(({ gcType }) => gcType === 'MarkSweepCompact').length`
  return Number.parseFloat(stream(first, counted))
}

/** A process that reads 4 GB into buffers of 16 KiB, as a gateway does that streams, beside a heap of 20 MB. */
function stream(first: string, result: string): string {
  return run(`
    import { GCProfiler } from 'node:v8'
    ${first}
    const heap = Array.from({ length: 200_000 }, (_, i) => ({ i, text: 'x' + i }))
    const inUse = new Array(128)
    const profiler = new GCProfiler()
    profiler.start()
    for (let i = 0; i < 250_000; i += 1) {
      inUse[i % 128] = Buffer.allocUnsafeSlow(16_384)
      if (i % 1000 === 0) await new Promise(setImmediate)
    }
    const { statistics } = profiler.stop()
    if (heap.length + inUse.length > 0) console.log(${result})`)
}

/** Allocation sites that V8 moves to the old generation, in a process of which the first calls live for long. */
function kindsBornOld(first: string): number {
  const said = run(
    `
    ${first}
    const call = (body) => ({ parts: [body, null], more: null })
    const open = new Array(300_000).fill(null)
    for (let i = 0; i < 1_500_000; i += 1) {
      open[i % open.length] = call(new Array(40).fill(i))
      if (i % 1000 === 0) await new Promise(setImmediate)
    }
    console.log(open.length)`,
    '--trace-pretenuring-statistics',
  )
  return said.split('\n').filter((line) => line.endsWith('=> tenure')).length
}

function run(script: string, ...flags: string[]): string {
  const args = [...flags, '--input-type=module', '--eval', script]
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout
}
