import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  checkMemory,
  watchMemory,
  withinMemory,
} from '../../../mesh-gateway/src/process/watch-memory.ts'

const MIB = 1024 * 1024
const group = (limitMiB: number, usedMiB = 0) => ({
  limitBytes: limitMiB * MIB,
  usedBytes: () => usedMiB * MIB,
})

describe('the watch of the memory', () => {
  const watch = (given: { groupMiB?: number; heapMiB?: number; nowMs?: number }) => {
    const lines: string[] = []
    const gauge: boolean[] = []
    const memory = watchMemory({
      log: { info: (_, text) => lines.push(text), warn: (_, text) => lines.push(text) },
      metrics: { overloaded: (is) => gauge.push(is) },
      group: { limitBytes: 256 * MIB, usedBytes: () => (given.groupMiB ?? 0) * MIB },
      heap: () => ({ used_heap_size: (given.heapMiB ?? 0) * MIB, heap_size_limit: 100 * MIB }),
      everyMs: 1,
      now: () => given.nowMs ?? 0,
    })
    const until = async (is: boolean) => {
      while (memory.overloaded(1_000) !== is) await sleep(1)
    }
    return { memory, lines, gauge, until }
  }

  it('refuses from four fifths of the limit on, until there is memory again', async () => {
    const given = { groupMiB: 204, nowMs: 0 }
    const { memory, lines, gauge, until } = watch(given)
    await sleep(5)
    assert.equal(memory.overloaded(1_000), false)
    given.groupMiB = 206
    await until(true)
    given.groupMiB = 200
    await sleep(5)
    assert.equal(memory.overloaded(1_000), true)
    assert.equal(memory.exhausted(1_000), false)
    given.groupMiB = 231
    while (!memory.exhausted(1_000)) await sleep(1)
    given.groupMiB = 190
    given.nowMs = 1_000
    await until(false)
    memory.close()
    assert.deepEqual(gauge, [false, true, false])
    assert.equal(lines.length, 2)
  })

  it('says so once a second at most, where memory hovers at the bound, and what holds in the end', async () => {
    const given = { groupMiB: 0, nowMs: 0 }
    const { memory, lines, gauge, until } = watch(given)
    for (let turn = 0; turn < 10; turn += 1) {
      given.groupMiB = 240
      await until(true)
      given.groupMiB = 60
      await until(false)
    }
    assert.equal(gauge.length, 21)
    assert.deepEqual(lines, ['memory is nearly used up: new work is refused'])
    given.nowMs = 1_000
    while (lines.length === 1) await sleep(1)
    memory.close()
    assert.deepEqual(lines.slice(1), ['there is memory again: new work is admitted'])
  })

  it('collects what those that have gone left behind, now and then, while it refuses', async () => {
    let [usedMiB, readings] = [0, 0]
    const collected: number[] = []
    const memory = watchMemory({
      log: { info: () => {}, warn: () => {} },
      group: { limitBytes: 256 * MIB, usedBytes: () => usedMiB * MIB },
      heap: () => {
        readings += 1
        return { used_heap_size: 0, heap_size_limit: MIB }
      },
      collect: () => {
        collected.push(readings)
        // the third one finds that they have gone
        if (collected.length === 3) usedMiB = 60
      },
      everyMs: 1,
      // however long it takes on a busy machine
      now: () => 0,
    })
    while (readings < 30) await sleep(1)
    assert.deepEqual(collected, [], 'not while there is memory')
    usedMiB = 228
    while (!memory.overloaded(1_000)) await sleep(1)
    while (memory.overloaded(1_000)) await sleep(1)
    memory.close()
    const [first = 0, second = 0, third = 0] = collected
    assert.deepEqual([collected.length, second - first, third - second], [3, 40, 80])
  })

  it('takes a tenth of the time at most, also where it is full again as soon as it has collected', async () => {
    let usedMiB = 228
    const runs: { readonly begin: number; readonly end: number }[] = []
    const memory = watchMemory({
      log: { info: () => {}, warn: () => {} },
      group: { limitBytes: 256 * MIB, usedBytes: () => usedMiB * MIB },
      heap: () => ({ used_heap_size: 0, heap_size_limit: MIB }),
      collect: () => {
        const begin = performance.now()
        while (performance.now() < begin + 30);
        usedMiB = 60
        runs.push({ begin, end: performance.now() })
      },
      everyMs: 1,
    })
    while (runs.length < 3) {
      while (memory.overloaded(1_000)) await sleep(1)
      usedMiB = 228
      while (!memory.overloaded(1_000)) await sleep(1)
    }
    memory.close()
    for (const [n, { begin, end }] of runs.slice(0, -1).entries()) {
      const idleMs = (runs[n + 1]?.begin ?? 0) - end
      assert.ok(idleMs >= 10 * (end - begin), `${idleMs} ms after ${end - begin} ms`)
    }
  })

  const crowded = (given: { usedMiB: number; keptMiB: number }) => {
    const memory = watchMemory({
      log: { info: () => {}, warn: () => {} },
      group: { limitBytes: 256 * MIB, usedBytes: () => given.usedMiB * MIB },
      heap: () => ({ used_heap_size: 0, heap_size_limit: 100 * MIB }),
      collect: () => {
        given.usedMiB = Math.min(given.usedMiB, given.keptMiB)
      },
      everyMs: 1,
    })
    const until = async (is: boolean) => {
      while (memory.overloaded(1_000) !== is) await sleep(1)
    }
    return { memory, until }
  }

  it('goes by what a collection leaves, when nothing gives that back', async () => {
    for (const keptMiB of [200, 206, 215, 222]) {
      const given = { usedMiB: 230, keptMiB }
      const { memory, until } = crowded(given)
      await until(true)
      await until(false)
      // and not beyond 0.88 of the limit
      given.usedMiB = given.keptMiB = 226
      await until(true)
      given.usedMiB = 100
      await until(false)
      given.usedMiB = 206
      await until(true)
      memory.close()
    }
  })

  it('admits a few whatever is in use, since to refuse them would give nothing back', async () => {
    const { memory, until } = watch({ groupMiB: 250 })
    await until(true)
    for (const bound of ['overloaded', 'exhausted'] as const)
      assert.deepEqual([0, 7, 8].map(memory[bound]), [false, false, true], bound)
    memory.close()
  })

  it('refuses when the heap of V8 is nearly full, whatever the machine has', async () => {
    const given = { heapMiB: 91 }
    const { memory, until } = watch(given)
    await until(true)
    given.heapMiB = 79
    await until(false)
    memory.close()
  })

  it('does not keep the process', async () => {
    const { spawn } = await import('node:child_process')
    const module = new URL('../../../mesh-gateway/src/process/watch-memory.ts', import.meta.url)
    const text = `import { watchMemory } from '${module.href}'; watchMemory({ log: console })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
      stdio: 'inherit',
    })
    assert.deepEqual(await once(child, 'exit'), [0, null])
  })
})

describe('too little memory', () => {
  it('is refused before the start, with what to change', () => {
    assert.throws(() => checkMemory(1, group(127)), {
      code: 'MESH_GATEWAY_MEMORY',
      message: /127 MiB is too low/,
      hint: /128 MiB.*--memory.*mem_limit/s,
    })
    assert.throws(() => checkMemory(4, group(300)), { hint: /512 MiB.*fewer workers/s })
    checkMemory(1, group(128))
    checkMemory(64, null)
  })

  it('lowers what is kept for slow readers', () => {
    assert.equal(withinMemory(1000, 0.1, { limitBytes: null }), 1000)
    assert.equal(withinMemory(1000, 0.1, { limitBytes: 5000 }), 500)
    assert.equal(withinMemory(100, 0.1, { limitBytes: 5000 }), 100)
  })
})
