import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

const SOURCE = new URL(
  '../../../mesh-gateway/src/process/count-buffers-as-heap.ts',
  import.meta.url,
)

describe('buffers that die young', () => {
  it('do not make V8 collect all of its heap over and over, when they are counted as heap', () => {
    const before = fullCollections('')
    const after = fullCollections(
      `const { countBuffersAsHeap } = await import(${JSON.stringify(SOURCE.href)}); countBuffersAsHeap()`,
    )
    assert.ok(before >= 8, `${before} without: the setting may not be needed any more`)
    assert.ok(after <= before / 2, `${after} full collections, ${before} without`)
  })

  it('are given back all the same: what is held is bounded', () => {
    const peak = run(
      `const { countBuffersAsHeap } = await import(${JSON.stringify(SOURCE.href)}); countBuffersAsHeap()`,
      'process.resourceUsage().maxRSS / 1024',
    )
    assert.ok(peak < 600, `${peak} MB for 4 GB of buffers, of which 2 MB were used at any time`)
  })
})

function fullCollections(first: string): number {
  return run(first, `statistics.filter(({ gcType }) => gcType === 'MarkSweepCompact').length`)
}

/** A process that reads 4 GB into buffers of 16 KiB, as a gateway does that streams, beside a heap of 20 MB. */
function run(first: string, result: string): number {
  const script = `
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
    if (heap.length + inUse.length > 0) console.log(${result})`
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', script],
    {
      encoding: 'utf8',
    },
  )
  const value = Number.parseFloat(stdout)
  assert.ok(Number.isFinite(value), stderr)
  return value
}
